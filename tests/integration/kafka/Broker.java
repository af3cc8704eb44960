import kafka.Kafka;
import kafka.tools.StorageTool;
import java.io.File;
import java.util.ArrayList;
import java.util.List;

/** Formats the storage named in the properties unless that was done, and runs a broker that is its own controller. */
public final class Broker {
    public static void main(String[] arguments) throws Exception {
        String properties = arguments[0];
        if (!new File(arguments[1], "meta.properties").exists()) {
            List<String> format = new ArrayList<>(List.of("format", "-t", "mcwatchTestsCluster0AA", "-c", properties));
            for (int index = 2; index < arguments.length; index++) {
                format.addAll(List.of("--add-scram", arguments[index]));
            }
            int status = StorageTool.execute(format.toArray(new String[0]), System.out);
            if (status != 0) {
                System.exit(status);
            }
        }
        Kafka.main(new String[] {properties});
    }
}
