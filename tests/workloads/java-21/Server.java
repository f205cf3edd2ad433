import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketTimeoutException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.net.http.HttpTimeoutException;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.locks.ReentrantLock;

/** A virtual thread for each request and each parallel call; calls by HttpClient, or by HttpURLConnection. */
public class Server {
    private static final String UPSTREAM = System.getenv("UPSTREAM");
    private static final ExecutorService THREADS = virtualThreads();
    private static final ReentrantLock ONE_AT_A_TIME = new ReentrantLock();
    private static final HttpClient CLIENT =
            HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private static final boolean BLOCKING = "blocking".equals(System.getenv("CLIENT"));

    public static void main(String[] args) throws IOException {
        int port = Integer.parseInt(System.getenv().getOrDefault("PORT", "8080"));
        InetAddress loopback = InetAddress.getByName("127.0.0.1");
        HttpServer server = HttpServer.create(new InetSocketAddress(loopback, port), 128);
        server.setExecutor(THREADS);
        server.createContext("/", Server::handle);
        server.start();
        System.out.println("listening on " + port);
    }

    /** By name, since the compiler here may be of Java 17. */
    private static ExecutorService virtualThreads() {
        try {
            return (ExecutorService) Executors.class.getMethod("newVirtualThreadPerTaskExecutor").invoke(null);
        } catch (ReflectiveOperationException old) {
            throw new IllegalStateException("virtual threads need Java 21", old);
        }
    }

    private static void handle(HttpExchange exchange) throws IOException {
        try (exchange) {
            String[] parts = exchange.getRequestURI().getPath().split("/");
            job(parts[1], parts[2]);
            byte[] body = "done\n".getBytes();
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        } catch (ExecutionException failed) {
            throw new IOException(failed.getCause());
        }
    }

    private static void job(String verb, String id) throws IOException, InterruptedException, ExecutionException {
        switch (verb) {
            case "work" -> {
                fetch("/leaf/" + id + "/1");
                Thread.sleep(3);
            }
            case "seq" -> {
                fetch("/leaf/" + id + "/1");
                Thread.sleep(3);
                fetch("/leaf/" + id + "/2");
            }
            case "fan" -> {
                List<Callable<Integer>> calls = List.of(
                        () -> fetch("/leaf/" + id + "/1"),
                        () -> fetch("/leaf/" + id + "/2"),
                        () -> fetch("/leaf/" + id + "/3"));
                for (Future<Integer> call : THREADS.invokeAll(calls)) {
                    call.get();
                }
            }
            case "lock" -> {
                ONE_AT_A_TIME.lock();
                try {
                    fetch("/leaf/" + id + "/1");
                } finally {
                    ONE_AT_A_TIME.unlock();
                }
            }
            case "after" -> THREADS.submit(() -> {
                Thread.sleep(3);
                return fetch("/leaf/" + id + "/1");
            });
            case "retry" -> {
                if (fetch("/flaky/" + id + "/1") == 503) {
                    fetch("/flaky/" + id + "/1");
                }
            }
            default -> {
                try {
                    fetch("/slow/" + id + "/1", Duration.ofMillis(50));
                } catch (HttpTimeoutException | SocketTimeoutException late) {
                    // the answer goes on without it
                }
            }
        }
    }

    private static int fetch(String path) throws IOException, InterruptedException {
        return fetch(path, Duration.ofSeconds(30));
    }

    private static int fetch(String path, Duration timeout) throws IOException, InterruptedException {
        if (BLOCKING) {
            return block(path, timeout);
        }
        HttpRequest request = HttpRequest.newBuilder(URI.create(UPSTREAM + path)).timeout(timeout).build();
        return CLIENT.send(request, BodyHandlers.ofString()).statusCode();
    }

    private static int block(String path, Duration timeout) throws IOException {
        HttpURLConnection connection = (HttpURLConnection) URI.create(UPSTREAM + path).toURL().openConnection();
        connection.setReadTimeout((int) timeout.toMillis());
        int status = connection.getResponseCode();
        try (var body = status < 400 ? connection.getInputStream() : connection.getErrorStream()) {
            if (body != null) {
                body.readAllBytes();
            }
        }
        return status;
    }
}
