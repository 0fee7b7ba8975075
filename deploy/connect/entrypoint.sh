#!/bin/sh
# Fills the placeholders of debezium/worker.properties from the environment and becomes the Connect worker.
set -eu

: "${BOOTSTRAP_SERVERS:?address of Kafka}" "${REGISTRY_URL:?address of the registry (its Confluent-compatible API)}"

sed -e "s|\${bootstrap_servers}|$BOOTSTRAP_SERVERS|" \
    -e "s|\${rest_host}|${REST_HOST:-0.0.0.0}|" \
    -e "s|\${rest_port}|${REST_PORT:-8083}|" \
    -e "s|\${registry_url}|$REGISTRY_URL|" \
    -e "s|\${plugin_path}|/opt/plugins/converter,/opt/plugins/connectors|" \
    -e "s|\${secrets_folder}|/run/secrets|" \
    -e "s|\${replication_factor}|${REPLICATION_FACTOR:-3}|" \
    /opt/kafka/config/worker.properties >/tmp/worker.properties
printf 'rest.advertised.host.name=%s\n' "$(hostname)" >>/tmp/worker.properties

exec java "-Xmx${HEAP:-1g}" -Dlog4j2.configurationFile=/opt/kafka/config/log4j2.yaml -cp '/opt/kafka/libs/*' \
    org.apache.kafka.connect.cli.ConnectDistributed /tmp/worker.properties
