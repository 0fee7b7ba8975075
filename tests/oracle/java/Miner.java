package cdc.oracle;

import io.debezium.connector.oracle.OracleConnectorConfig;
import io.debezium.connector.oracle.OracleDatabaseSchema;
import io.debezium.connector.oracle.OracleOffsetContext;
import io.debezium.connector.oracle.OraclePartition;
import io.debezium.connector.oracle.RedoThreadState;
import io.debezium.connector.oracle.jdbc.OracleConnectionFactory;
import io.debezium.connector.oracle.logminer.LogMinerColumnIndexes;
import io.debezium.connector.oracle.logminer.LogMinerStreamingChangeEventSourceMetrics;
import io.debezium.connector.oracle.logminer.buffered.BufferedLogMinerStreamingChangeEventSource;
import io.debezium.connector.oracle.logminer.events.LogMinerEventRow;
import io.debezium.pipeline.ErrorHandler;
import io.debezium.pipeline.EventDispatcher;
import io.debezium.pipeline.source.spi.ChangeEventSource.ChangeEventSourceContext;
import io.debezium.relational.TableId;
import io.debezium.util.Clock;
import java.lang.reflect.Proxy;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.Map;

/** The connector's own reading of LogMiner; only the queries that bring its rows are left out. */
final class Miner extends BufferedLogMinerStreamingChangeEventSource {

    private final OraclePartition partition;
    private final LogMinerColumnIndexes indexes;
    private final OracleDatabaseSchema schema;
    private OracleOffsetContext offset;

    Miner(OracleConnectorConfig config, OracleConnectionFactory connections,
            EventDispatcher<OraclePartition, TableId> dispatcher, ErrorHandler errors, OracleDatabaseSchema schema,
            LogMinerStreamingChangeEventSourceMetrics metrics, OraclePartition partition) {
        super(config, connections, dispatcher, errors, Clock.system(), schema, config.getJdbcConfig(), metrics);
        this.partition = partition;
        this.schema = schema;
        indexes = LogMinerColumnIndexes.fromConfig(config);
        detectRedoThreadTransitions(RedoThreadState.builder().build());
    }

    void startFrom(OracleOffsetContext from) {
        offset = from;
    }

    /** Processes a row of {@code V$LOGMNR_CONTENTS}, its columns by their numbers in the connector's query. */
    void mine(Map<Object, Object> row) throws SQLException, InterruptedException {
        ResultSet result = Rows.of(row);
        result.next();
        processEvent(LogMinerEventRow.fromResultSet(result, schema, indexes));
    }

    Map<String, ?> position() {
        return offset.getOffset();
    }

    @Override
    public OracleOffsetContext getOffsetContext() {
        return offset;
    }

    @Override
    protected OraclePartition getPartition() {
        return partition;
    }

    @Override
    protected ChangeEventSourceContext getContext() {
        Class<?>[] kind = {ChangeEventSourceContext.class};
        return (ChangeEventSourceContext) Proxy.newProxyInstance(Miner.class.getClassLoader(), kind,
                (proxy, method, arguments) -> method.getName().equals("isRunning"));
    }
}
