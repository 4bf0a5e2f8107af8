package askback.peers;

import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.IntStream;

/**
 * The one task that is killed, and what becomes known of its recovery. Times are those of Meter; 0 is "not yet".
 * What a system cannot tell stays out of the result.
 */
public final class Fault {
    private static volatile boolean armed;
    private static volatile long detectMs;
    private static volatile long killed;
    private static volatile long detected;
    private static volatile long resumed;
    private static volatile long redone;
    private static volatile boolean rolledBack;
    private static volatile long[] atKill; // what stood of each task's outputs
    private static final Map<Integer, Long> atRestart = new ConcurrentHashMap<>(); // outputs of the tasks that are back
    private static final AtomicLong dropped = new AtomicLong(); // tuples given to the dead task
    private static final AtomicLong timedOut = new AtomicLong(); // tuples of sources, whether or not a task was killed
    private static final AtomicLong replayed = new AtomicLong(); // tuples that sources emitted again after the kill
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
        atKill = Meter.standing();
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

    /** The system has begun to act: a task is stopped. */
    public static void noticed() {
        if (killed != 0 && detected == 0) {
            detected = Meter.now();
        }
    }

    /** A task is back. If it is not one of the last ones, task is one that it feeds. */
    public static void restarted(int task) {
        atRestart.put(task, Meter.outputs()[task]);
    }

    /** One of the last tasks is back at a checkpoint, by which it had been given so many tuples. */
    public static void rolledBack(int task, long standing) {
        Meter.rolledBack(task, standing);
        rolledBack = true;
        restarted(task);
    }

    /** A source emits a tuple again, since nobody acknowledged it in time. */
    public static void replays(long id) {
        timedOut.incrementAndGet();
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

    static long timedOut() {
        return timedOut.get();
    }

    /** Notes what can be seen from outside the tasks. */
    static void look(boolean behind) {
        if (resumed == 0 && !atRestart.isEmpty()) {
            long[] outputs = Meter.outputs();
            if (atRestart.entrySet().stream().anyMatch(e -> outputs[e.getKey()] > e.getValue())) {
                resumed = Meter.now();
            }
        }
        if (rolledBack && resumed != 0) {
            long[] standing = Meter.standing();
            if (!IntStream.range(0, standing.length).allMatch(task -> standing[task] >= atKill[task])) {
                redone = 0; // a task is back that is later than others
            } else if (redone == 0 && !behind) {
                redone = Meter.now();
            }
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
            r.number("reprocessed", Meter.reprocessed());
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
