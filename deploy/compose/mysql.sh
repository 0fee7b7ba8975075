#!/bin/sh
# Set-up of the compose file's MySQL, run once on an empty volume: the application's user, and the capturing role made by
# sql/sources/mysql/setup.sql.
set -eu

run() { MYSQL_PWD=$MYSQL_ROOT_PASSWORD mysql --user=root --batch; }

printf "CREATE USER 'shop_owner'@'%%' IDENTIFIED BY '%s';\nGRANT ALL ON shop.* TO 'shop_owner'@'%%';\n" "$CDC_MYSQL_OWNER_PASSWORD" | run
sed -e 's|${role}|cdc|g' -e 's|${database}|shop|g' -e "s|\${password}|$CDC_MYSQL_PASSWORD|g" /setup/setup.sql | run
