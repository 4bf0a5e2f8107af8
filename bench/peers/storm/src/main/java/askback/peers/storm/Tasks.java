package askback.peers.storm;

import askback.peers.Fault;
import askback.peers.Feed;
import askback.peers.Meter;
import askback.peers.Text;
import java.util.HashMap;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.storm.spout.SpoutOutputCollector;
import org.apache.storm.task.OutputCollector;
import org.apache.storm.task.TopologyContext;
import org.apache.storm.topology.OutputFieldsDeclarer;
import org.apache.storm.topology.base.BaseRichBolt;
import org.apache.storm.topology.base.BaseRichSpout;
import org.apache.storm.tuple.Fields;
import org.apache.storm.tuple.Tuple;
import org.apache.storm.tuple.Values;

/** The spout and the bolts. */
final class Tasks {
    // Storm serialises spouts and bolts when a topology is submitted, which the text had better not be.
    static Feed feed;
    static boolean acked;

    private Tasks() {}

    /** Emits the feed, and what failed of it once more. */
    static final class Source extends BaseRichSpout {
        private final boolean lines;
        private transient SpoutOutputCollector out;
        private transient Queue<Long> failed;
        private transient int task;
        private transient int step;
        private transient long next;

        Source(boolean lines) {
            this.lines = lines;
        }

        @Override
        public void open(Map<String, Object> conf, TopologyContext context, SpoutOutputCollector out) {
            this.out = out;
            failed = new ConcurrentLinkedQueue<>();
            task = context.getThisTaskIndex();
            step = context.getComponentTasks(context.getThisComponentId()).size();
            next = task;
            feed.begin();
        }

        @Override
        public void nextTuple() {
            if (!acked) {
                if (feed.due(next)) {
                    out.emit(tuple(next));
                    advance();
                }
                return;
            }
            Long again = failed.poll();
            if (again != null) {
                Fault.replays(again);
                out.emit(tuple(again), again);
            } else if (feed.due(next)) {
                out.emit(tuple(next), next);
                advance();
            }
        }

        private void advance() {
            next += step;
            if (feed.paced()) {
                Meter.position(task, next);
            }
        }

        private Values tuple(long index) {
            return lines ? new Values(feed.line(index)) : new Values(feed.number(index));
        }

        @Override
        public void ack(Object id) {
            Fault.acknowledged((Long) id);
        }

        @Override
        public void fail(Object id) {
            failed.add((Long) id);
        }

        @Override
        public void declareOutputFields(OutputFieldsDeclarer declarer) {
            declarer.declare(new Fields("value"));
        }
    }

    /**
     * A bolt whose first task may be killed. In a LocalCluster an exception ends the program, cluster and all. So the
     * task is dead in the way that costs Storm least: for the time of detection it loses whatever it is given, then
     * it is there again, empty, and no other task has been disturbed.
     */
    private abstract static class Mortal extends BaseRichBolt {
        private transient OutputCollector out;
        private transient boolean mayDie;
        private transient boolean dead;

        @Override
        public void prepare(Map<String, Object> conf, TopologyContext context, OutputCollector out) {
            this.out = out;
            mayDie = context.getThisTaskIndex() == 0;
            born(context.getThisTaskIndex());
        }

        /** Begins a life with empty hands. */
        void born(int task) {}

        abstract void take(Tuple t);

        @Override
        public void execute(Tuple t) {
            if (mayDie && isDead()) {
                Fault.dropped();
                return;
            }
            take(t);
            if (acked) {
                out.ack(t);
            }
        }

        private boolean isDead() {
            if (!dead && Fault.strikes()) {
                Fault.die();
                dead = true;
            } else if (dead && !Fault.stillDead()) {
                dead = false;
                born(0);
                Fault.restarted(0);
            }
            return dead;
        }

        final void emit(Tuple from, Object value) {
            if (acked) {
                out.emit(from, new Values(value));
            } else {
                out.emit(new Values(value));
            }
        }

        @Override
        public void declareOutputFields(OutputFieldsDeclarer declarer) {
            declarer.declare(new Fields("value"));
        }
    }

    static final class Id extends Mortal {
        @Override
        void take(Tuple t) {
            emit(t, t.getValue(0));
        }
    }

    static final class Null extends BaseRichBolt {
        private transient OutputCollector out;
        private transient Meter.Output output;

        @Override
        public void prepare(Map<String, Object> conf, TopologyContext context, OutputCollector out) {
            this.out = out;
            output = Meter.output(context.getThisTaskIndex());
        }

        @Override
        public void execute(Tuple t) {
            long value = t.getLong(0);
            if (value < 0) {
                output.probe(-value);
            }
            output.tuple();
            if (acked) {
                out.ack(t);
            }
        }

        @Override
        public void declareOutputFields(OutputFieldsDeclarer declarer) {}
    }

    static final class Split extends BaseRichBolt {
        private transient OutputCollector out;

        @Override
        public void prepare(Map<String, Object> conf, TopologyContext context, OutputCollector out) {
            this.out = out;
        }

        @Override
        public void execute(Tuple t) {
            String line = t.getString(0);
            if (Feed.isProbe(line)) {
                emit(t, line);
            } else {
                Text.words(line, word -> emit(t, word));
            }
            if (acked) {
                out.ack(t);
            }
        }

        private void emit(Tuple from, String word) {
            if (acked) {
                out.emit(from, new Values(word));
            } else {
                out.emit(new Values(word));
            }
        }

        @Override
        public void declareOutputFields(OutputFieldsDeclarer declarer) {
            declarer.declare(new Fields("value"));
        }
    }

    /** A number that is added to in place. */
    private static final class Sums<K> extends HashMap<K, long[]> {
        void add(K key, long n) {
            long[] sum = get(key);
            if (sum == null) {
                put(key, sum = new long[1]);
            }
            sum[0] += n;
        }
    }

    static final class Count extends Mortal {
        private transient Sums<String> counts;
        private transient Meter.Output output;

        @Override
        void born(int task) {
            counts = new Sums<>();
            output = Meter.output(task);
        }

        @Override
        void take(Tuple t) {
            String word = t.getString(0);
            if (Feed.isProbe(word)) {
                output.probe(Feed.time(word));
                return;
            }
            counts.add(word, 1);
            output.tuple();
        }
    }

    static final class Sum extends Mortal {
        private transient Sums<Long> sums;
        private transient Meter.Output output;

        @Override
        void born(int task) {
            sums = new Sums<>();
            output = Meter.output(task);
        }

        @Override
        void take(Tuple t) {
            Long key = t.getLong(0);
            if (key < 0) {
                output.probe(-key);
                return;
            }
            sums.add(key, 1);
            output.tuple();
        }
    }
}
