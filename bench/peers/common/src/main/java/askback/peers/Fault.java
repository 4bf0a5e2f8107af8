package askback.peers;

import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

/**
 * The one task that is killed, and what becomes known of its recovery. Times are those of Meter; 0 is "not yet".
 * What a system cannot tell stays out of the result.
 */
public final class Fault {
    private static volatile boolean armed;
    private static volatile long detectMs;
    private static volatile long killed;
    private static volatile long detected;
    private static volatile long restarted;
    private static volatile long resumed;
    private static volatile long redone;
    private static volatile long standing; // of the outputs that there were at the kill, without the reprocessed
    private static volatile long atRestart;
    private static volatile long reprocessed; // tuples given to the last tasks a second time, since a rollback
    private static volatile boolean rolledBack;
    private static final AtomicLong dropped = new AtomicLong(); // tuples given to the dead task
    private static final AtomicLong replayed = new AtomicLong(); // tuples that sources emitted again
    private static final Set<Long> owed = ConcurrentHashMap.newKeySet(); // replayed and not yet acknowledged

    private Fault() {}

    static void arm(long detect) {
        detectMs = detect;
        armed = true;
    }

    /** Reports whether the task that asks is to die now. Only the task that may die asks. */
    public static boolean strikes() {
        return armed;
    }

    /** Ends the task that calls it: it is silent until the failure is noticed, and then throws. */
    public static void strike() throws InterruptedException {
        die();
        Thread.sleep(detectMs);
        throw new IllegalStateException("killed by the benchmark");
    }

    /** Marks the death of the task that calls it. */
    public static void die() {
        armed = false;
        standing = Meter.tuples() - reprocessed;
        killed = Meter.now();
    }

    /** Reports whether a task that died at the kill is still dead. */
    public static boolean stillDead() {
        return Meter.now() < killed + detectMs * 1_000_000;
    }

    /** A tuple was given to the dead task. */
    public static void dropped() {
        dropped.incrementAndGet();
    }

    /** The system has begun to act: a task that was well is stopped. */
    public static void noticed() {
        if (killed != 0 && detected == 0) {
            detected = Meter.now();
        }
    }

    /** The dead task is back. */
    public static void restarted() {
        atRestart = Meter.tuples();
        restarted = Meter.now();
    }

    /** The whole topology is back, at a checkpoint at which so many outputs stood. */
    public static void rolledBack(long outputs) {
        reprocessed = Meter.tuples() - outputs;
        rolledBack = true;
        restarted();
    }

    /** A source emits a tuple again. */
    public static void replays(long id) {
        if (killed != 0) {
            replayed.incrementAndGet();
            owed.add(id);
        }
    }

    /** A tuple of a source is done with. */
    public static void acknowledged(long id) {
        if (!owed.isEmpty() && owed.remove(id) && owed.isEmpty()) {
            redone = Meter.now();
        }
    }

    static long reprocessed() {
        return reprocessed;
    }

    /** Notes what can be seen from outside the tasks. */
    static void look(long tuples, boolean behind) {
        if (restarted != 0 && resumed == 0 && tuples > atRestart) {
            resumed = Meter.now();
        }
        if (rolledBack && resumed != 0 && redone == 0 && tuples - reprocessed >= standing && !behind) {
            redone = Meter.now();
        }
    }

    static Json result(Meter.Curve curve) {
        Json r = new Json();
        if (killed == 0) {
            return r;
        }
        if (detected != 0) {
            r.real("detect_ms", ms(detected));
        }
        if (resumed != 0) {
            r.real("resume_ms", ms(resumed));
        }
        long back = curve.rateIsBack(killed, Math.max(killed, resumed));
        if (back >= 0) {
            r.real("rate_back_ms", ms(back));
        }
        if (redone != 0) {
            r.real("backlog_gone_ms", ms(redone));
        }
        if (rolledBack) {
            r.number("reprocessed", reprocessed);
        }
        if (replayed.get() > 0) {
            r.number("replayed", replayed.get()).number("not_yet_redone", owed.size());
        }
        if (dropped.get() > 0) {
            r.number("dropped", dropped.get());
        }
        return r;
    }

    private static double ms(long t) {
        return (t - killed) / 1e6;
    }
}
