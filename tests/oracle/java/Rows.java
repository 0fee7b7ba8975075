package cdc.oracle;

import java.lang.reflect.Proxy;
import java.sql.ResultSet;
import java.sql.Timestamp;
import java.time.Instant;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;

/** Rows as a driver hands them out: read by number or by name, first column 1. */
final class Rows {

    private final List<Map<Object, Object>> rows;
    private int at = -1;
    private Object last;

    private Rows(List<Map<Object, Object>> rows) {
        this.rows = rows;
    }

    static ResultSet of(List<Map<Object, Object>> rows) {
        Rows self = new Rows(rows);
        return (ResultSet) Proxy.newProxyInstance(Rows.class.getClassLoader(), new Class<?>[] {ResultSet.class},
                (proxy, method, arguments) -> self.answer(method.getName(), arguments));
    }

    static ResultSet of(Map<Object, Object> row) {
        return of(List.of(row));
    }

    private Object answer(String method, Object[] arguments) {
        switch (method) {
            case "next":
                at++;
                return at < rows.size();
            case "wasNull":
                return last == null;
            case "close", "setFetchSize":
                return null;
            default:
                if (!method.startsWith("get") || arguments == null) {
                    throw new UnsupportedOperationException("ResultSet." + method);
                }
                last = rows.get(at).get(arguments[0]);
                return converted(method, last);
        }
    }

    private static Object converted(String method, Object value) {
        return switch (method) {
            case "getString" -> value == null ? null : value.toString();
            case "getInt" -> value == null ? 0 : Integer.parseInt(value.toString());
            case "getLong" -> value == null ? 0L : Long.parseLong(value.toString());
            case "getBytes" -> value == null ? null : HexFormat.of().parseHex(value.toString());
            case "getTimestamp" -> value == null ? null : Timestamp.from(Instant.parse(value.toString()));
            case "getObject" -> value;
            default -> throw new UnsupportedOperationException("ResultSet." + method);
        };
    }
}
