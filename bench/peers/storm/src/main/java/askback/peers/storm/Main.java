package askback.peers.storm;

import askback.peers.Feed;
import askback.peers.Json;
import askback.peers.Meter;
import askback.peers.Options;
import org.apache.storm.Config;
import org.apache.storm.LocalCluster;
import org.apache.storm.topology.TopologyBuilder;
import org.apache.storm.tuple.Fields;
import org.apache.storm.utils.VersionInfo;

/**
 * Runs a workload in Storm's LocalCluster.
 *
 * <p>Mode unacked is Storm without ackers: at most once. Mode acked is at least once; how many ackers and how many
 * pending tuples are best depends on the machine, so whoever compares tries some.
 */
public final class Main {
    private Main() {}

    public static void main(String[] args) {
        int status = 0;
        try {
            run(args);
        } catch (Throwable t) {
            t.printStackTrace();
            status = 1;
        }
        // Shutting the cluster down takes seconds and proves nothing.
        Runtime.getRuntime().halt(status);
    }

    private static void run(String[] args) throws Exception {
        Options o = Options.parse(args,
            "--mode", "acked",
            "--spouts", "1",
            "--ackers", "1",
            "--max-pending", "5000", // tuples that a spout may have out unacknowledged
            "--batch", "1000", // tuples that a task hands on at once
            "--flush-ms", "1"); // how long they may wait for that
        boolean acked = o.oneOf("--mode", "acked", "unacked").equals("acked");
        Feed feed = new Feed(o);
        Tasks.feed = feed;
        Tasks.acked = acked;

        LocalCluster cluster = new LocalCluster.Builder()
            .withDaemonConf(Config.TOPOLOGY_ENABLE_MESSAGE_TIMEOUTS, true) // LocalCluster turns them off
            .withSupervisors(1)
            .build();
        cluster.submitTopology("bench", config(o, acked), topology(o).createTopology());
        Meter.measure(o, feed, o.number("--spouts"), new Json()
            .text("system", "storm")
            .text("version", VersionInfo.getVersion())
            .text("workload", o.text("--workload"))
            .text("mode", o.text("--mode"))
            .text("guarantee", acked ? "at least once" : "at most once"));
    }

    private static Config config(Options o, boolean acked) {
        Config c = new Config();
        c.setNumWorkers(1); // all in one: no tuple is serialised
        c.setNumAckers(acked ? o.number("--ackers") : 0);
        c.put(Config.TOPOLOGY_PRODUCER_BATCH_SIZE, o.number("--batch"));
        c.put(Config.TOPOLOGY_BATCH_FLUSH_INTERVAL_MILLIS, o.number("--flush-ms"));
        c.put(Config.TOPOLOGY_EXECUTOR_RECEIVE_BUFFER_SIZE, 50_000);
        c.put(Config.TOPOLOGY_DISABLE_LOADAWARE_MESSAGING, true);
        c.put(Config.TOPOLOGY_STATS_SAMPLE_RATE, 0.0005);
        if (acked) {
            c.setMaxSpoutPending(o.number("--max-pending"));
        }
        if (o.number("--detect") > 0) {
            // Whole seconds, and a tree expires between one and two of these.
            c.setMessageTimeoutSecs((o.number("--detect") + 999) / 1000);
        }
        return c;
    }

    private static TopologyBuilder topology(Options o) {
        int parallel = o.number("--parallel");
        TopologyBuilder b = new TopologyBuilder();
        b.setSpout("source", new Tasks.Source(o.text("--workload").equals("wordcount")), o.number("--spouts"));
        switch (o.text("--workload")) {
            case "relay":
                b.setBolt("id", new Tasks.Id(), parallel).localOrShuffleGrouping("source");
                b.setBolt("null", new Tasks.Null(), parallel).localOrShuffleGrouping("id");
                break;
            case "wordcount":
                b.setBolt("split", new Tasks.Split(), parallel).localOrShuffleGrouping("source");
                b.setBolt("count", new Tasks.Count(), parallel).fieldsGrouping("split", new Fields("value"));
                break;
            default:
                b.setBolt("sum", new Tasks.Sum(), parallel).fieldsGrouping("source", new Fields("value"));
        }
        return b;
    }
}
