package askback.peers.flink;

import askback.peers.Fault;
import askback.peers.Feed;
import askback.peers.Meter;
import askback.peers.Text;
import java.util.List;
import org.apache.flink.api.common.functions.FlatMapFunction;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.api.common.functions.RuntimeContext;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.util.Collector;

/** The operators. One of the first subtasks may be killed. */
final class Tasks {
    // Functions are serialised when a job is submitted, which the text had better not be.
    static Feed feed;

    private Tasks() {}

    /**
     * Counts what a last operator is given, and keeps the number in the checkpoints too: the difference after a
     * rollback is what is done again.
     */
    private static final class Tally {
        private Meter.Output output;
        private ListState<Long> saved;
        private long n;

        void initialize(FunctionInitializationContext context, RuntimeContext runtime) throws Exception {
            int task = runtime.getTaskInfo().getIndexOfThisSubtask();
            output = Meter.output(task);
            saved = context.getOperatorStateStore().getListState(new ListStateDescriptor<>("tuples", Types.LONG));
            for (long before : saved.get()) {
                n += before;
            }
            if (runtime.getTaskInfo().getAttemptNumber() > 0) {
                Fault.rolledBack(task, n);
            }
        }

        void snapshot() throws Exception {
            saved.update(List.of(n));
        }

        void tuple() {
            n++;
            output.tuple();
        }

        void probe(long due) {
            output.probe(due);
        }
    }

    static final class Id extends RichMapFunction<Long, Long> {
        private transient boolean mayDie;

        @Override
        public void open(OpenContext context) {
            mayDie = first(getRuntimeContext());
        }

        @Override
        public Long map(Long value) throws Exception {
            if (mayDie && Fault.strikes()) {
                Fault.strike();
            }
            return value;
        }
    }

    static final class Null extends ProcessFunction<Long, Long> implements CheckpointedFunction {
        private transient Tally tally;

        @Override
        public void initializeState(FunctionInitializationContext context) throws Exception {
            tally = new Tally();
            tally.initialize(context, getRuntimeContext());
        }

        @Override
        public void snapshotState(FunctionSnapshotContext context) throws Exception {
            tally.snapshot();
        }

        @Override
        public void processElement(Long value, Context context, Collector<Long> out) {
            if (value < 0) {
                tally.probe(-value);
            }
            tally.tuple();
        }
    }

    static final class Split implements FlatMapFunction<String, String> {
        @Override
        public void flatMap(String line, Collector<String> out) {
            if (Feed.isProbe(line)) {
                out.collect(line);
            } else {
                Text.words(line, out::collect);
            }
        }
    }

    /** Adds one to a key's number for each tuple of that key. */
    private abstract static class Adder<K> extends KeyedProcessFunction<K, K, K> implements CheckpointedFunction {
        private transient ValueState<Long> sum;
        private transient Tally tally;
        private transient boolean mayDie;

        /** Returns the time in a probe, or -1 for a tuple. */
        abstract long due(K tuple);

        @Override
        public void initializeState(FunctionInitializationContext context) throws Exception {
            tally = new Tally();
            tally.initialize(context, getRuntimeContext());
        }

        @Override
        public void snapshotState(FunctionSnapshotContext context) throws Exception {
            tally.snapshot();
        }

        @Override
        public void open(OpenContext context) {
            sum = getRuntimeContext().getState(new ValueStateDescriptor<>("sum", Types.LONG));
            mayDie = first(getRuntimeContext());
        }

        @Override
        public void processElement(K tuple, Context context, Collector<K> out) throws Exception {
            if (mayDie && Fault.strikes()) {
                Fault.strike();
            }
            long due = due(tuple);
            if (due >= 0) {
                tally.probe(due);
                return;
            }
            Long before = sum.value();
            sum.update(before == null ? 1 : before + 1);
            tally.tuple();
        }
    }

    static final class Count extends Adder<String> {
        @Override
        long due(String word) {
            return Feed.isProbe(word) ? Feed.time(word) : -1;
        }
    }

    static final class Sum extends Adder<Long> {
        @Override
        long due(Long key) {
            return key < 0 ? -key : -1;
        }
    }

    private static boolean first(RuntimeContext runtime) {
        return runtime.getTaskInfo().getIndexOfThisSubtask() == 0;
    }
}
