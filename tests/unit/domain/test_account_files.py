"""Which files of a directory are accounts."""

from mcwatch.domain.account_files import account_files, account_name


def test_what_is_read() -> None:
    """Files with the two endings are, in order; hidden ones and what editors and packages leave behind are not."""
    left_alone = [".acme.yaml.swp", ".#acme.yaml", "#acme.yaml#", "acme.yaml~", "acme.yaml.bak", "..data", "README.md"]
    assert account_files([*left_alone, "b.yml", "a.yaml", "C.YAML", "yaml"]) == ["C.YAML", "a.yaml", "b.yml"]


def test_names() -> None:
    """An account is called as its file, less the ending."""
    assert [account_name(file) for file in ("acme.yaml", "acme.eu.yml")] == ["acme", "acme.eu"]
