package askback.peers;

import java.util.SplittableRandom;

/**
 * Skewed keys: key k of a million is drawn with a probability proportional to 1 / (k+1)^1.1. Four million are drawn
 * beforehand and then repeated, since drawing one costs more than some of the systems do.
 */
public final class Keys {
    private static final int DISTINCT = 1_000_000;
    private static final int DRAWN = 1 << 22;
    private static final double EXPONENT = 1.1;

    private Keys() {}

    public static int[] draw(long seed) {
        double[] upTo = new double[DISTINCT];
        double sum = 0;
        for (int k = 0; k < DISTINCT; k++) {
            sum += Math.pow(k + 1, -EXPONENT);
            upTo[k] = sum;
        }
        SplittableRandom random = new SplittableRandom(seed);
        int[] keys = new int[DRAWN];
        for (int i = 0; i < DRAWN; i++) {
            int at = java.util.Arrays.binarySearch(upTo, random.nextDouble() * sum);
            keys[i] = Math.min(at < 0 ? -at - 1 : at, DISTINCT - 1);
        }
        return keys;
    }
}
