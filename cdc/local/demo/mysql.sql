-- The demo's store; created by the owner of the tables. Statements end with a semicolon at the end of a line.
CREATE TABLE customers (
    id bigint unsigned PRIMARY KEY,
    name varchar(80) NOT NULL,
    email varchar(120),
    country char(2),
    credit decimal(12, 2) NOT NULL DEFAULT 0,
    tags set('new', 'gold', 'late') NOT NULL DEFAULT '',
    profile json,
    created_at timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
) CHARACTER SET utf8mb4;
CREATE TABLE products (
    id int unsigned PRIMARY KEY,
    name varchar(80) NOT NULL,
    price decimal(10, 2) NOT NULL,
    weight double,
    available tinyint(1) NOT NULL DEFAULT 1,
    description text
) CHARACTER SET utf8mb4;
CREATE TABLE orders (
    id bigint PRIMARY KEY,
    customer_id bigint unsigned NOT NULL,
    status enum('new', 'paid', 'sent', 'returned') NOT NULL,
    total decimal(12, 2) NOT NULL,
    placed_at datetime(6) NOT NULL,
    due date
);
CREATE TABLE order_lines (
    order_id bigint NOT NULL,
    line smallint NOT NULL,
    product_id int unsigned NOT NULL,
    quantity int NOT NULL,
    price decimal(10, 2) NOT NULL,
    PRIMARY KEY (order_id, line)
);
CREATE TABLE countries (
    code varchar(4) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PRIMARY KEY,
    name varchar(80) NOT NULL,
    vat decimal(5, 2)
) CHARACTER SET utf8mb4;
CREATE TABLE sessions (
    id char(36) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY,
    customer_id bigint unsigned NOT NULL,
    address varchar(45),
    seen_at timestamp(6) NOT NULL,
    pages int NOT NULL
);
CREATE TABLE `Order. Items` (
    `Item No` int PRIMARY KEY,
    `Unit. Price` decimal(10, 2),
    `Größe` varchar(20)
) CHARACTER SET utf8mb4;
