package cdc.connect;

/** Writes the values of one Connect schema; a ClassCastException or DataException where one does not fit. */
interface ValueWriter {

    void write(Object value, AvroOutput output);
}
