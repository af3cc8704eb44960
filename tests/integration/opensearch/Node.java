import org.codelibs.opensearch.runner.OpenSearchRunner;

/** One OpenSearch node on loopback: directory, HTTP port, transport port; it lives until its standard input ends. */
public class Node {
    public static void main(String[] args) throws Exception {
        OpenSearchRunner runner = new OpenSearchRunner();
        runner.onBuild((number, settings) -> {
            settings.put("discovery.type", "single-node");
            settings.putList("node.roles", "cluster_manager", "data", "ingest");
            settings.put("network.host", "127.0.0.1");
            settings.put("http.port", args[1]);
            settings.put("transport.port", args[2]);
            settings.put("cluster.routing.allocation.disk.threshold_enabled", false);
        }).build(OpenSearchRunner.newConfigs().basePath(args[0]).clusterName("mcwatch").numOfNode(1));
        runner.ensureYellow();
        System.out.println("READY");
        while (System.in.read() >= 0) {
        }
        runner.close();
    }
}
