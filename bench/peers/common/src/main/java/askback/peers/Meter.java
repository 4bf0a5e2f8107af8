package askback.peers;

import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLongArray;
import org.HdrHistogram.Histogram;
import org.HdrHistogram.SingleWriterRecorder;

/**
 * Counts what the last tasks of a topology are given, prints a line every second, and works out the result. There is
 * one for the program, since the systems make the tasks themselves and all of them run in this virtual machine.
 */
public final class Meter {
    private static final int MOST = 64; // tasks
    private static final int APART = 16; // of longs, so that no two tasks write to one cache line
    private static final int TICK_MS = 2; // how exact the times of a recovery are

    private static final long START = System.nanoTime();
    private static final AtomicLongArray outputs = new AtomicLongArray(MOST * APART);
    private static final AtomicLongArray again = new AtomicLongArray(MOST * APART); // of outputs: those before a rollback
    private static final AtomicLongArray positions = new AtomicLongArray(MOST * APART);
    private static final SingleWriterRecorder[] latencies = new SingleWriterRecorder[MOST];

    private Meter() {}

    /** Returns nanoseconds since the program began: the time of everything that is measured. */
    public static long now() {
        return System.nanoTime() - START;
    }

    /** What one task of the last bolt or operator reports. Only that task's thread may call it. */
    public static final class Output {
        private final int slot;
        private final SingleWriterRecorder latency;
        private long n;

        private Output(int task) {
            slot = task * APART;
            n = outputs.get(slot); // a task that is started again goes on counting
            synchronized (latencies) {
                if (latencies[task] == null) {
                    latencies[task] = new SingleWriterRecorder(3);
                }
                latency = latencies[task];
            }
        }

        public void tuple() {
            outputs.lazySet(slot, ++n);
        }

        public void probe(long due) {
            latency.recordValue(Math.max(0, now() - due));
        }
    }

    public static Output output(int task) {
        return new Output(task);
    }

    /** Says which index a source emits next. */
    public static void position(int source, long next) {
        positions.lazySet(source * APART, next);
    }

    /** Returns how many tuples all tasks have been given, again and again ones too. */
    static long tuples() {
        return sum(outputs);
    }

    /** Returns how many of them tasks were given before they were rolled back, and will be given again. */
    static long reprocessed() {
        return sum(again);
    }

    /** Returns how many tuples each task has been given. */
    static long[] outputs() {
        return each(outputs);
    }

    /** Returns how many tuples each task has been given, not counting those that it was given again. */
    static long[] standing() {
        long[] standing = each(outputs);
        for (int task = 0; task < MOST; task++) {
            standing[task] -= again.get(task * APART);
        }
        return standing;
    }

    /** Says that a task is back at a checkpoint, by which it had been given so many tuples. */
    static void rolledBack(int task, long standing) {
        again.set(task * APART, outputs.get(task * APART) - standing);
    }

    private static long sum(AtomicLongArray of) {
        long sum = 0;
        for (long n : each(of)) {
            sum += n;
        }
        return sum;
    }

    private static long[] each(AtomicLongArray of) {
        long[] n = new long[MOST];
        for (int task = 0; task < MOST; task++) {
            n[task] = of.get(task * APART);
        }
        return n;
    }

    /** Measures, and prints the result. The topology must be running. */
    public static void measure(Options o, Feed feed, int sources, Json result) throws Exception {
        if (o.real("--kill-at") >= o.real("--duration")) {
            throw new IllegalArgumentException("--kill-at must be before the end, which is at --duration " + o.text("--duration"));
        }
        while (tuples() == 0) {
            if (now() > TimeUnit.SECONDS.toNanos(120)) {
                throw new IllegalStateException("no tuple came out within two minutes; the log says why");
            }
            Thread.sleep(TICK_MS);
        }
        Thread.sleep((long) (o.real("--warmup") * 1000));

        for (SingleWriterRecorder r : latencies) {
            if (r != null) {
                r.reset();
            }
        }
        OperatingSystemMXBean os = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        Curve curve = new Curve();
        long began = now();
        long end = began + (long) (o.real("--duration") * 1e9);
        long kill = o.real("--kill-at") > 0 ? began + (long) (o.real("--kill-at") * 1e9) : Long.MAX_VALUE;
        long sampleEvery = o.number("--sample-ms") * 1_000_000L;
        long nextSample = began;
        long cpu = os.getProcessCpuTime();
        long outputsBefore = tuples();
        long timedOutBefore = Fault.timedOut();
        long againBefore = reprocessed();
        for (long t = began; ; t = now()) {
            long tuples = tuples();
            curve.add(t, tuples);
            if (t >= kill) {
                Fault.arm(o.number("--detect"));
                kill = Long.MAX_VALUE;
            }
            Fault.look(behind(feed, sources));
            if (t >= nextSample || t >= end) {
                new Json().real("t", (t - began) / 1e9)
                        .number("tuples", tuples - outputsBefore)
                        .number("reprocessed", reprocessed() - againBefore)
                        .number("cpu_ms", (os.getProcessCpuTime() - cpu) / 1_000_000)
                        .print();
                nextSample += sampleEvery;
            }
            if (t >= end) {
                break;
            }
            Thread.sleep(TICK_MS);
        }
        double seconds = (now() - began) / 1e9;
        cpu = os.getProcessCpuTime() - cpu;
        long tuples = tuples() - outputsBefore - (reprocessed() - againBefore);

        result.number("tuples", tuples).real("seconds", seconds).real("tuples_per_second", tuples / seconds);
        if (tuples > 0) {
            result.real("cpu_ns_per_tuple", (double) cpu / tuples);
        }
        result.number("rss_bytes", rss());
        if (Fault.timedOut() > timedOutBefore) {
            result.number("timed_out", Fault.timedOut() - timedOutBefore);
        }
        if (feed.paced()) {
            latency(result);
        }
        if (o.real("--kill-at") > 0) {
            result.object("recovery", Fault.result(curve));
        }
        result.print();
    }

    private static boolean behind(Feed feed, int sources) {
        if (!feed.paced()) {
            return false;
        }
        long least = Long.MAX_VALUE;
        for (int s = 0; s < sources; s++) {
            least = Math.min(least, positions.get(s * APART));
        }
        return least < feed.dueNow() - feed.dueIn(0.010);
    }

    private static void latency(Json result) {
        Histogram all = new Histogram(3);
        for (SingleWriterRecorder r : latencies) {
            if (r != null) {
                all.add(r.getIntervalHistogram());
            }
        }
        if (all.getTotalCount() == 0) {
            return;
        }
        result.real("latency_p50_us", all.getValueAtPercentile(50) / 1e3)
                .real("latency_p99_us", all.getValueAtPercentile(99) / 1e3)
                .real("latency_p999_us", all.getValueAtPercentile(99.9) / 1e3)
                .real("latency_max_us", all.getMaxValue() / 1e3);
    }

    private static long rss() throws IOException {
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmRSS:")) {
                return 1024 * Long.parseLong(line.replaceAll("[^0-9]", ""));
            }
        }
        throw new IOException("/proc/self/status has no VmRSS");
    }

    /** How many tuples had come out at which time. */
    static final class Curve {
        private static final long WINDOW = 250_000_000L;
        private final List<long[]> points = new ArrayList<>();

        void add(long t, long tuples) {
            points.add(new long[] {t, tuples});
        }

        /**
         * Returns when there first begins, not before notBefore, a quarter of a second with nine tenths of the rate that
         * was before the kill; -1 if that never happens.
         */
        long rateIsBack(long killed, long notBefore) {
            int last = indexOf(killed) - 1;
            if (last < 1) {
                return -1;
            }
            double before = rate(0, last);
            int first = indexOf(notBefore);
            for (int from = first, to = first; to < points.size(); from++) {
                while (to < points.size() && points.get(to)[0] < points.get(from)[0] + WINDOW) {
                    to++;
                }
                if (to < points.size() && rate(from, to) >= 0.9 * before) {
                    return points.get(from)[0];
                }
            }
            return -1;
        }

        // The first point at or after a time.
        private int indexOf(long t) {
            int i = 0;
            while (i < points.size() && points.get(i)[0] < t) {
                i++;
            }
            return i;
        }

        private double rate(int from, int to) {
            long[] a = points.get(from);
            long[] b = points.get(to);
            return (b[1] - a[1]) / (double) Math.max(1, b[0] - a[0]);
        }
    }
}
