"""What mcwatch costs, as ratios to a floor measured in the same run. Started by ``make bench``, never by pytest."""
