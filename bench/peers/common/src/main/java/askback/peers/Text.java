package askback.peers;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * A file's lines, in memory before anything is measured. Bytes are read as Latin-1, one character each, so that words
 * are the same runs of bytes as on the other side and a string takes a byte a character.
 */
public final class Text {
    private static final int LONGEST = 64 << 10; // as in the Go side's text
    private static final boolean[] IN_WORD = new boolean[256];

    static {
        for (char c = 0; c < 128; c++) {
            IN_WORD[c] = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_';
        }
    }

    private Text() {}

    /** Returns the lines of a file that are neither empty nor longer than 64 KiB. */
    public static String[] lines(String file) throws IOException {
        if (file.isEmpty()) {
            throw new IllegalArgumentException("wordcount needs --input FILE");
        }
        byte[] data = Files.readAllBytes(Path.of(file));
        List<String> lines = new ArrayList<>();
        for (int start = 0; start < data.length; ) {
            int end = start;
            while (end < data.length && data[end] != '\n') {
                end++;
            }
            if (end > start && end - start <= LONGEST) {
                lines.add(new String(data, start, end - start, StandardCharsets.ISO_8859_1));
            }
            start = end + 1;
        }
        if (lines.isEmpty()) {
            throw new IllegalArgumentException("--input " + file + " has no line");
        }
        return lines.toArray(new String[0]);
    }

    /** Hands on the words of a line: maximal runs of A-Z a-z 0-9 _. */
    public static void words(String line, Consumer<String> found) {
        int n = line.length();
        for (int i = 0; i < n; ) {
            while (i < n && !inWord(line.charAt(i))) {
                i++;
            }
            int start = i;
            while (i < n && inWord(line.charAt(i))) {
                i++;
            }
            if (i > start) {
                found.accept(line.substring(start, i));
            }
        }
    }

    /** Prints the words of a file, for whoever wants to compare them with those of another system. */
    public static void main(String[] args) throws IOException {
        StringBuilder out = new StringBuilder();
        for (String line : lines(args[0])) {
            words(line, word -> out.append(word).append('\n'));
        }
        System.out.print(out);
    }

    private static boolean inWord(char c) {
        return c < 256 && IN_WORD[c];
    }
}
