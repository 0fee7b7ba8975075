package cdc.connect;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import org.apache.kafka.connect.errors.ConnectException;

/** Requests to a registry, each repeated for a while where it is away or not well. */
final class RegistryConnection {

    private static final String JSON = "application/vnd.schemaregistry.v1+json";
    private static final Duration CONNECT = Duration.ofSeconds(5);
    private static final Duration REQUEST = Duration.ofSeconds(15);
    private static final Duration FIRST_PAUSE = Duration.ofMillis(200);
    private static final Duration LONGEST_PAUSE = Duration.ofSeconds(5);

    private final String address;
    private final String authorization;
    private final Duration patience;
    // HTTP/1.1: the offer to speak HTTP/2 without TLS is an error to some proxies.
    private final HttpClient client =
            HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(CONNECT).build();
    private volatile boolean closed;

    RegistryConnection(ConverterSettings settings) {
        address = settings.address();
        authorization = settings.authorization();
        patience = settings.patience();
    }

    /** What a registry has answered. */
    record Answer(int status, String body) {}

    Answer get(String path) {
        return send(request(path).GET().build());
    }

    /** Sends what may be repeated: registering the same schema twice changes nothing. */
    Answer post(String path, String body) {
        return send(request(path).header("Content-Type", JSON).POST(BodyPublishers.ofString(body)).build());
    }

    /** Ends the waiting for a registry that is away. */
    void close() {
        closed = true;
    }

    @Override
    public String toString() {
        return "schema registry " + address;
    }

    private HttpRequest.Builder request(String path) {
        HttpRequest.Builder builder = HttpRequest.newBuilder(URI.create(address + path)).timeout(REQUEST);
        builder.header("Accept", JSON + ", application/json");
        return authorization == null ? builder : builder.header("Authorization", authorization);
    }

    private Answer send(HttpRequest request) {
        long end = System.nanoTime() + patience.toNanos();
        Duration pause = FIRST_PAUSE;
        while (true) {
            String trouble;
            try {
                HttpResponse<String> response = client.send(request, BodyHandlers.ofString());
                if (response.statusCode() < 500 && response.statusCode() != 429) {
                    return new Answer(response.statusCode(), response.body());
                }
                trouble = "status " + response.statusCode();
            } catch (IOException e) {
                trouble = e.getClass().getSimpleName() + (e.getMessage() == null ? "" : " " + e.getMessage());
            } catch (InterruptedException e) {
                throw interrupted(e);
            }
            if (closed || System.nanoTime() + pause.toNanos() > end) {
                // The words by which cdc/core/restarts.py knows what may pass by itself.
                throw new ConnectException(this + " did not answer, tried for " + patience.toSeconds()
                        + " s; connection timed out, at last: " + trouble);
            }
            rest(pause);
            pause = pause.multipliedBy(2).compareTo(LONGEST_PAUSE) < 0 ? pause.multipliedBy(2) : LONGEST_PAUSE;
        }
    }

    private static void rest(Duration pause) {
        try {
            Thread.sleep(pause.toMillis());
        } catch (InterruptedException e) {
            throw interrupted(e);
        }
    }

    private static ConnectException interrupted(InterruptedException e) {
        Thread.currentThread().interrupt();
        return new ConnectException("interrupted while waiting for the schema registry", e);
    }
}
