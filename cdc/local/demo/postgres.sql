-- The demo's shop; created by the owner of the tables. Statements end with a semicolon at the end of a line.
CREATE TABLE customers (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    email varchar(120),
    country char(2),
    credit numeric(12, 2) NOT NULL DEFAULT 0,
    tags text[] NOT NULL DEFAULT '{}',
    profile jsonb,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE products (
    id integer PRIMARY KEY,
    name text NOT NULL,
    price numeric(10, 2) NOT NULL,
    weight double precision,
    available boolean NOT NULL DEFAULT true,
    description text
);
CREATE TABLE orders (
    id bigint PRIMARY KEY,
    customer_id bigint NOT NULL,
    status text NOT NULL,
    total numeric(12, 2) NOT NULL,
    placed_at timestamp(6) NOT NULL,
    due date
);
CREATE TABLE order_lines (
    order_id bigint NOT NULL,
    line smallint NOT NULL,
    product_id integer NOT NULL,
    quantity integer NOT NULL,
    price numeric(10, 2) NOT NULL,
    PRIMARY KEY (order_id, line)
);
CREATE TABLE countries (
    code text PRIMARY KEY,
    name text NOT NULL,
    vat numeric(5, 2)
);
CREATE TABLE sessions (
    id uuid PRIMARY KEY,
    customer_id bigint NOT NULL,
    address inet,
    seen_at timestamptz NOT NULL,
    pages integer NOT NULL
);
CREATE TABLE "Order. Items" (
    "Item No" integer PRIMARY KEY,
    "Unit. Price" numeric(10, 2),
    "Größe" text
);
