package cdc.connect;

import java.util.ArrayList;
import java.util.List;

/**
 * An array of one dimension, made of the server's text; one of several does not fit.
 *
 * <p>Elements are separated by a comma, those of box[] by a semicolon. A text is quoted where it would be misread, and
 * a backslash inside of quotes keeps the next character; NULL without quotes is null. Bounds in front ([0:1]=) are left
 * out: a list has none.
 */
final class PostgresList implements PostgresValues.Form {

    private static final int BOXES = 1020;

    private final PostgresElement element;
    private final char separator;

    PostgresList(PostgresElement element, int arrayType) {
        this.element = element;
        this.separator = arrayType == BOXES ? ';' : ',';
    }

    @Override
    public Object convert(Object value) {
        if (value instanceof List) { // the default of a column
            return value;
        }
        String text = value.toString();
        int at = text.indexOf('{') + 1;
        List<Object> list = new ArrayList<>();
        StringBuilder part = new StringBuilder();
        while (text.charAt(at) != '}') {
            boolean quoted = text.charAt(at) == '"';
            at = quoted ? quoted(text, at + 1, part) : plain(text, at, part);
            String read = part.toString();
            list.add(!quoted && read.equals("NULL") ? null : element.parse(read));
            part.setLength(0);
            at += text.charAt(at) == separator ? 1 : 0;
        }
        return list;
    }

    @Override
    public Object of(String marker) {
        return element.of(marker);
    }

    /** Reads up to the closing quote, and returns the place behind it. */
    private static int quoted(String text, int from, StringBuilder part) {
        int at = from;
        for (; text.charAt(at) != '"'; at++) {
            at += text.charAt(at) == '\\' ? 1 : 0;
            part.append(text.charAt(at));
        }
        return at + 1;
    }

    private int plain(String text, int from, StringBuilder part) {
        int at = from;
        for (; text.charAt(at) != separator && text.charAt(at) != '}'; at++) {
            if (text.charAt(at) == '{') {
                throw new IllegalArgumentException("an array of arrays");
            }
            part.append(text.charAt(at));
        }
        return at;
    }
}
