package cdc.connect;

import java.util.HashSet;
import java.util.Set;
import java.util.regex.Pattern;

/** The columns that a statement of LogMiner names. */
final class NamedColumns {

    private static final Pattern NUMBERED = Pattern.compile("COL \\d+");

    private NamedColumns() {
    }

    /** Returns what stands in double quotes behind the table's name, and not within a literal. */
    static Set<String> of(String update) {
        Set<String> found = new HashSet<>();
        int at = update.indexOf(" set \"");
        while (at >= 0 && at < update.length()) {
            char sign = update.charAt(at);
            if (sign != '"' && sign != '\'') {
                at++;
                continue;
            }
            int end = update.indexOf(sign, at + 1); // a doubled quote ends a literal, and begins the next at once
            if (end < 0) {
                break;
            }
            if (sign == '"') {
                found.add(update.substring(at + 1, end));
            }
            at = end + 1;
        }
        return found;
    }

    /** Returns whether LogMiner numbers the columns, because it does not know their names any more. */
    static boolean numbered(Set<String> names) {
        return names.stream().anyMatch(name -> NUMBERED.matcher(name).matches());
    }
}
