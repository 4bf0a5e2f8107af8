package askback.peers;

import java.io.IOException;
import java.util.concurrent.atomic.AtomicLong;

/**
 * What a source emits, by index, so that a source is replayed by going back to an index. Source s of n emits the
 * indices s, s+n, s+2n and so on.
 *
 * <p>At a given rate, index i is due i / rate after the beginning, and some of the tuples are probes that carry the time at which they
 * were due: latency counts from there, however late the source is. A probe goes the way of any other tuple; it is a
 * word that begins with PROBE, or a negative number.
 */
public final class Feed {
    private static final char PROBE = 1;
    private static final int PROBES = 1000; // a second, at most

    private final String[] lines;
    private final int[] keys;
    private final double rate;
    private final long every;
    private final AtomicLong began = new AtomicLong(); // of Meter.now

    public Feed(Options o) throws IOException {
        String workload = o.oneOf("--workload", "relay", "wordcount", "keyed");
        lines = workload.equals("wordcount") ? Text.lines(o.text("--input")) : null;
        keys = workload.equals("keyed") ? Keys.draw(Long.parseLong(o.text("--seed"))) : null;
        rate = o.real("--rate");
        every = Math.max(1, (long) (rate / PROBES));
    }

    /** Starts the clock. Sources call it when they are opened; what counts is the first of them. */
    public void begin() {
        began.compareAndSet(0, Meter.now());
    }

    /** Reports whether the tuple is to be emitted by now. */
    public boolean due(long index) {
        return rate == 0 || Meter.now() >= dueAt(index);
    }

    /** Returns the index that is due now: sources that have come to it are not behind. */
    public long dueNow() {
        return (long) ((Meter.now() - began.get()) / 1e9 * rate);
    }

    /** Returns how many tuples are due within so many seconds. */
    public long dueIn(double seconds) {
        return (long) (seconds * rate);
    }

    public boolean paced() {
        return rate > 0;
    }

    /** The line of wordcount. */
    public String line(long index) {
        return probe(index) ? PROBE + Long.toString(dueAt(index)) : lines[(int) (index % lines.length)];
    }

    /** The number of relay, or the key of keyed. */
    public long number(long index) {
        if (probe(index)) {
            return -dueAt(index);
        }
        return keys == null ? 1 : keys[(int) (index % keys.length)];
    }

    /** Reports whether a line or a word is a probe, and not to be taken apart. */
    public static boolean isProbe(String s) {
        return s.charAt(0) == PROBE;
    }

    /** Returns the time that is in a probe. */
    public static long time(String probe) {
        return Long.parseLong(probe, 1, probe.length(), 10);
    }

    private boolean probe(long index) {
        return rate > 0 && index % every == 0;
    }

    // Of Meter.now, and so never 0, which has no negative.
    private long dueAt(long index) {
        return began.get() + (long) (index / rate * 1e9);
    }
}
