package cdc.oracle;

import io.debezium.config.Configuration;
import io.debezium.connector.base.ChangeEventQueue;
import io.debezium.connector.oracle.CommitScn;
import io.debezium.connector.oracle.OracleConnection;
import io.debezium.connector.oracle.OracleConnectorConfig;
import io.debezium.connector.oracle.OracleDatabaseSchema;
import io.debezium.connector.oracle.OracleDefaultValueConverter;
import io.debezium.connector.oracle.OracleErrorHandler;
import io.debezium.connector.oracle.OracleOffsetContext;
import io.debezium.connector.oracle.OraclePartition;
import io.debezium.connector.oracle.OracleTaskContext;
import io.debezium.connector.oracle.OracleValueConverters;
import io.debezium.connector.oracle.Scn;
import io.debezium.connector.oracle.StreamingAdapter.TableNameCaseSensitivity;
import io.debezium.connector.oracle.jdbc.OracleConnectionFactory;
import io.debezium.connector.oracle.logminer.LogMinerStreamingChangeEventSourceMetrics;
import io.debezium.converters.custom.CustomConverterServiceProvider;
import io.debezium.heartbeat.Heartbeat.ScheduledHeartbeat;
import io.debezium.pipeline.DataChangeEvent;
import io.debezium.pipeline.EventDispatcher;
import io.debezium.pipeline.source.spi.EventMetadataProvider;
import io.debezium.pipeline.source.snapshot.incremental.SignalBasedIncrementalSnapshotContext;
import io.debezium.pipeline.txmetadata.TransactionContext;
import io.debezium.processors.PostProcessorRegistryServiceProvider;
import io.debezium.relational.CustomConverterRegistry;
import io.debezium.relational.SnapshotChangeRecordEmitter;
import io.debezium.relational.Table;
import io.debezium.relational.TableId;
import io.debezium.relational.Tables;
import io.debezium.schema.SchemaNameAdjuster;
import io.debezium.spi.topic.TopicNamingStrategy;
import io.debezium.util.Clock;
import java.sql.SQLException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.connect.source.SourceRecord;

/** The parts of Debezium's Oracle connector, put together as its task does, on a database that is a {@link Dictionary}. */
final class Capture {

    private final OracleConnectorConfig config;
    private final Dictionary dictionary;
    private final OracleConnection connection;
    private final OracleDatabaseSchema schema;
    private final ChangeEventQueue<DataChangeEvent> queue;
    private final EventDispatcher<OraclePartition, TableId> dispatcher;
    private final OraclePartition partition;
    private final Miner miner;

    Capture(Map<String, String> settings, Dictionary dictionary) throws ReflectiveOperationException {
        this.dictionary = dictionary;
        Configuration configuration = Configuration.from(settings);
        config = new OracleConnectorConfig(configuration);
        OracleTaskContext task = new OracleTaskContext(configuration, config);
        connection = new OracleConnection(config.getJdbcConfig(), jdbc -> dictionary.connection(), true);
        services(configuration);
        TopicNamingStrategy<TableId> topics =
                config.getTopicNamingStrategy(OracleConnectorConfig.TOPIC_NAMING_STRATEGY);
        SchemaNameAdjuster names = config.schemaNameAdjuster();
        OracleValueConverters values = config.getAdapter().getValueConverter(config, connection);
        schema = new OracleDatabaseSchema(config, values, new OracleDefaultValueConverter(values, connection), names,
                topics, TableNameCaseSensitivity.SENSITIVE, false,
                config.getServiceRegistry().tryGetService(CustomConverterRegistry.class), task);
        queue = new ChangeEventQueue.Builder<DataChangeEvent>().pollInterval(Duration.ofMillis(1)).maxBatchSize(8192)
                .maxQueueSize(1_000_000).loggingContextSupplier(() -> task.configureLoggingContext("test")).build();
        EventMetadataProvider events = hidden("io.debezium.connector.oracle.OracleEventMetadataProvider");
        dispatcher = new EventDispatcher<>(config, topics, schema, queue,
                config.getTableFilters().dataCollectionFilter(), DataChangeEvent::new,
                events, ScheduledHeartbeat.NOOP_HEARTBEAT, names, null);
        partition = new OraclePartition(config.getLogicalName(), config.getDatabaseName());
        miner = new Miner(config, factory(), dispatcher, new OracleErrorHandler(config, queue, null), schema,
                new LogMinerStreamingChangeEventSourceMetrics(task, queue, events, config,
                        List::of),
                partition);
        startFrom(Scn.ONE);
    }

    /** Makes one of the connector's own parts that is not public. */
    private static EventMetadataProvider hidden(String name) throws ReflectiveOperationException {
        var made = Class.forName(name).getDeclaredConstructor();
        made.setAccessible(true);
        return (EventMetadataProvider) made.newInstance();
    }

    private void services(Configuration configuration) {
        config.getBeanRegistry().add("Configuration", configuration);
        config.getBeanRegistry().add("ConnectorConfig", config);
        config.getServiceRegistry().registerServiceProvider(new PostProcessorRegistryServiceProvider());
        config.getServiceRegistry().registerServiceProvider(new CustomConverterServiceProvider());
    }

    private OracleConnectionFactory factory() {
        return new OracleConnectionFactory() {
            @Override
            public OracleConnection mainConnection() {
                return connection;
            }

            @Override
            public OracleConnection newConnection() {
                return connection;
            }
        };
    }

    /** Gives up the names under which Debezium tells Java's management of itself. */
    void close() {
        schema.close();
    }

    /** Goes on as a connector that starts anew with nothing but this place: its buffer of transactions is empty. */
    void startFrom(Scn scn) {
        miner.startFrom(OracleOffsetContext.create().logicalName(config).scn(scn).snapshotScn(Scn.NULL)
                .commitScn(CommitScn.empty()).snapshotCompleted(true).transactionContext(new TransactionContext())
                .incrementalSnapshotContext(new SignalBasedIncrementalSnapshotContext<>()).build());
    }

    /** Learns tables as a snapshot does, from what the driver says of them. */
    void learn(String owner, String table, List<Map<Object, Object>> columns, List<String> key) throws SQLException {
        dictionary.declare(owner, table, columns, key);
        Tables found = new Tables();
        connection.readSchema(found, null, owner, config.getTableFilters().dataCollectionFilter(), null, false);
        for (TableId id : found.tableIds()) {
            if (id.table().equals(table)) {
                schema.refresh(found.forTable(id));
            }
        }
    }

    List<SourceRecord> mine(List<Map<Object, Object>> rows) throws SQLException, InterruptedException {
        for (Map<Object, Object> row : rows) {
            miner.mine(row);
        }
        return records();
    }

    /** Reads rows in a snapshot as of an SCN. */
    List<SourceRecord> read(String owner, String table, Scn scn, List<Object[]> rows) throws InterruptedException {
        OracleOffsetContext offset = OracleOffsetContext.create().logicalName(config).scn(scn).snapshotScn(scn)
                .commitScn(CommitScn.empty()).transactionContext(new TransactionContext())
                .incrementalSnapshotContext(new SignalBasedIncrementalSnapshotContext<>()).build();
        offset.preSnapshotStart(false);
        TableId id = new TableId(config.getCatalogName(), owner, table);
        var receiver = dispatcher.getSnapshotChangeEventReceiver();
        for (Object[] row : rows) {
            offset.event(id, Instant.now());
            dispatcher.dispatchSnapshotEvent(partition, id,
                    new SnapshotChangeRecordEmitter<>(partition, offset, row, Clock.system(), config), receiver);
        }
        receiver.completeSnapshot();
        return records();
    }

    Map<String, ?> position() {
        return miner.position();
    }

    Table table(String owner, String table) {
        return schema.tableFor(new TableId(config.getCatalogName(), owner, table));
    }

    private List<SourceRecord> records() throws InterruptedException {
        List<SourceRecord> found = new ArrayList<>();
        while (queue.remainingCapacity() < queue.totalCapacity()) {
            queue.poll().forEach(event -> found.add(event.getRecord()));
        }
        return found;
    }
}
