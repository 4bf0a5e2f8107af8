package askback.peers.flink;

import askback.peers.Feed;
import askback.peers.Json;
import askback.peers.Meter;
import askback.peers.Options;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ExecutionOptions;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.configuration.StateBackendOptions;
import org.apache.flink.configuration.TaskManagerOptions;
import org.apache.flink.core.execution.CheckpointingMode;
import org.apache.flink.runtime.util.EnvironmentInformation;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * Runs a workload in Flink's MiniCluster.
 *
 * <p>Operators that are chained are one task, and hand each other objects; unchained, every hop is one between tasks,
 * as it is in the other systems. Guarantee none is Flink without checkpoints.
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
            "--mode", "chained", // or unchained
            "--guarantee", "exactly-once", // or none
            "--checkpoint-ms", "1000",
            "--buffer-ms", "100", // how long a record may wait for its buffer to fill
            "--task-managers", "1"); // with more than one, records between them go through TCP
        boolean chained = o.oneOf("--mode", "chained", "unchained").equals("chained");
        boolean exactlyOnce = o.oneOf("--guarantee", "exactly-once", "none").equals("exactly-once");
        Feed feed = new Feed(o);
        Tasks.feed = feed;
        int parallel = o.number("--parallel");

        StreamExecutionEnvironment env =
            StreamExecutionEnvironment.createLocalEnvironment(parallel, config(o, chained, exactlyOnce));
        build(env, o.text("--workload"));
        env.executeAsync("bench");
        Meter.measure(o, feed, parallel, new Json()
            .text("system", "flink")
            .text("version", EnvironmentInformation.getVersion())
            .text("workload", o.text("--workload"))
            .text("mode", o.text("--mode"))
            .text("guarantee", exactlyOnce ? "exactly once" : "none"));
    }

    private static Configuration config(Options o, boolean chained, boolean exactlyOnce) throws Exception {
        Configuration c = new Configuration();
        c.set(PipelineOptions.OBJECT_REUSE, true);
        c.set(PipelineOptions.GENERIC_TYPES, false);
        c.set(PipelineOptions.OPERATOR_CHAINING, chained);
        c.set(ExecutionOptions.BUFFER_TIMEOUT, Duration.ofMillis(o.number("--buffer-ms")));
        c.set(RestartStrategyOptions.RESTART_STRATEGY, "fixed-delay");
        c.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS, 10);
        c.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_DELAY, Duration.ZERO);
        c.set(StateBackendOptions.STATE_BACKEND, "hashmap");
        if (exactlyOnce) {
            Path checkpoints = Files.createTempDirectory("checkpoints"); // whoever set java.io.tmpdir removes it
            c.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(o.number("--checkpoint-ms")));
            c.set(CheckpointingOptions.CHECKPOINTING_CONSISTENCY_MODE, CheckpointingMode.EXACTLY_ONCE);
            c.set(CheckpointingOptions.CHECKPOINT_STORAGE, "filesystem");
            c.set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, checkpoints.toUri().toString());
        }
        int managers = o.number("--task-managers");
        if (managers > 1) {
            c.set(TaskManagerOptions.MINI_CLUSTER_NUM_TASK_MANAGERS, managers);
            c.set(TaskManagerOptions.NUM_TASK_SLOTS, (o.number("--parallel") + managers - 1) / managers);
        }
        return c;
    }

    private static void build(StreamExecutionEnvironment env, String workload) {
        WatermarkStrategy<Long> noTime = WatermarkStrategy.noWatermarks();
        switch (workload) {
            case "relay":
                DataStream<Long> ids = env.fromSource(FeedSource.ofNumbers(), noTime, "source", Types.LONG);
                ids.map(new Tasks.Id()).returns(Types.LONG).process(new Tasks.Null()).returns(Types.LONG);
                break;
            case "wordcount":
                env.fromSource(FeedSource.ofLines(), WatermarkStrategy.noWatermarks(), "source", Types.STRING)
                    .flatMap(new Tasks.Split()).returns(Types.STRING)
                    .keyBy(word -> word, Types.STRING)
                    .process(new Tasks.Count()).returns(Types.STRING);
                break;
            default:
                env.fromSource(FeedSource.ofNumbers(), noTime, "source", Types.LONG)
                    .keyBy(key -> key, Types.LONG)
                    .process(new Tasks.Sum()).returns(Types.LONG);
        }
    }
}
