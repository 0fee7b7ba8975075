package cdc.oracle;

import io.debezium.antlr.CaseChangingCharStream;
import io.debezium.ddl.parser.oracle.generated.PlSqlLexer;
import io.debezium.ddl.parser.oracle.generated.PlSqlParser;
import java.util.ArrayList;
import java.util.List;
import org.antlr.v4.runtime.BaseErrorListener;
import org.antlr.v4.runtime.CharStreams;
import org.antlr.v4.runtime.CommonTokenStream;
import org.antlr.v4.runtime.RecognitionException;
import org.antlr.v4.runtime.Recognizer;

/** Oracle's SQL as the grammar inside Debezium has it. */
final class Grammar {

    private Grammar() {
    }

    /** Returns what is wrong with a script of statements, each ended by a semicolon. */
    static List<String> errors(String script) {
        List<String> found = new ArrayList<>();
        BaseErrorListener listener = new BaseErrorListener() {
            @Override
            public void syntaxError(Recognizer<?, ?> recognizer, Object symbol, int line, int column, String message,
                    RecognitionException error) {
                found.add(line + ":" + column + " " + message);
            }
        };
        PlSqlLexer lexer = new PlSqlLexer(new CaseChangingCharStream(CharStreams.fromString(script), true));
        PlSqlParser parser = new PlSqlParser(new CommonTokenStream(lexer));
        lexer.removeErrorListeners();
        parser.removeErrorListeners();
        lexer.addErrorListener(listener);
        parser.addErrorListener(listener);
        parser.sql_script();
        return found;
    }
}
