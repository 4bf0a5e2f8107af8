package askback.peers;

import java.util.Locale;

/** One flat object on a line of standard output, which holds nothing else. */
public final class Json {
    private final StringBuilder out = new StringBuilder();

    public Json text(String name, String value) {
        return raw(name, '"' + value.replace("\\", "\\\\").replace("\"", "\\\"") + '"');
    }

    public Json number(String name, long value) {
        return raw(name, Long.toString(value));
    }

    public Json real(String name, double value) {
        return raw(name, String.format(Locale.ROOT, "%.3f", value));
    }

    public Json object(String name, Json value) {
        return raw(name, value.toString());
    }

    private Json raw(String name, String value) {
        out.append(out.length() == 0 ? "" : ",").append('"').append(name).append("\":").append(value);
        return this;
    }

    public void print() {
        System.out.println(this);
        System.out.flush();
    }

    @Override
    public String toString() {
        return "{" + out + "}";
    }
}
