package askback.peers;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The command line: names and values in turn, as in --workload relay --parallel 2. An option that the program does
 * not know is an error, so that a misspelt one cannot spoil a measurement.
 */
public final class Options {
    private final Map<String, String> values = new LinkedHashMap<>();

    /** Parses args. The options that may be given are named with their defaults: "--parallel", "1", ... */
    public static Options parse(String[] args, String... defaults) {
        Options o = new Options();
        String[] everywhere = {
            "--workload", "relay", // relay, wordcount or keyed
            "--input", "", // the text that wordcount reads
            "--parallel", "2", // tasks of each bolt or operator
            "--duration", "10", // seconds that are measured
            "--warmup", "10", // seconds before them
            "--sample-ms", "1000", // how often a line is printed
            "--mode", "",
            "--rate", "0", // input tuples a second, of all sources together; 0: as many as go
            "--kill-at", "0", // seconds after the warm-up; 0: no fault
            "--detect", "0", // milliseconds that a killed task is dead before anybody does something about it
            "--seed", "1", // of the keys
        };
        for (String[] known : new String[][] {everywhere, defaults}) {
            for (int i = 0; i < known.length; i += 2) {
                o.values.put(known[i], known[i + 1]);
            }
        }
        for (int i = 0; i < args.length; i += 2) {
            if (!o.values.containsKey(args[i])) {
                throw new IllegalArgumentException("no option " + args[i] + "; there are " + o.values.keySet());
            }
            if (i + 1 == args.length) {
                throw new IllegalArgumentException("option " + args[i] + " needs a value");
            }
            o.values.put(args[i], args[i + 1]);
        }
        return o;
    }

    public String text(String name) {
        return values.get(name);
    }

    public int number(String name) {
        return Integer.parseInt(values.get(name));
    }

    public double real(String name) {
        return Double.parseDouble(values.get(name));
    }

    /** Returns the value of an option that must be one of these. */
    public String oneOf(String name, String... choices) {
        for (String choice : choices) {
            if (choice.equals(values.get(name))) {
                return choice;
            }
        }
        throw new IllegalArgumentException(name + " " + values.get(name) + ": choose one of " + String.join(", ", choices));
    }
}
