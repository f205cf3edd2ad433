import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** The handler's thread starts a chain of futures and is free again; STYLE says who calls. */
public class Server {
    private static final String UPSTREAM = System.getenv("UPSTREAM");
    private static final boolean STEALING = "stealing".equals(System.getenv("STYLE"));
    private static final Calls CALLS = calls();
    private static final Semaphore ONE_AT_A_TIME = new Semaphore(1);
    private static final ExecutorService WAITING = Executors.newCachedThreadPool();

    interface Calls {
        CompletableFuture<Integer> fetch(String path, Duration timeout);
    }

    public static void main(String[] args) throws IOException {
        int port = Integer.parseInt(System.getenv().getOrDefault("PORT", "8080"));
        InetAddress loopback = InetAddress.getByName("127.0.0.1");
        HttpServer server = HttpServer.create(new InetSocketAddress(loopback, port), 128);
        server.setExecutor(STEALING ? ForkJoinPool.commonPool() : Executors.newFixedThreadPool(4));
        server.createContext("/", Server::handle);
        server.start();
        System.out.println("listening on " + port);
    }

    private static Calls calls() {
        String style = System.getenv().getOrDefault("STYLE", "async");
        switch (style) {
            case "future" -> {
                return blocking(Executors.newFixedThreadPool(16));
            }
            case "forkjoin" -> {
                return blocking(new ForkJoinPool(16));
            }
            case "stealing" -> {
                return blocking(ForkJoinPool.commonPool());
            }
            default -> {
                HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
                return (path, timeout) -> client.sendAsync(request(path, timeout), BodyHandlers.ofString())
                        .thenApply(answer -> answer.statusCode());
            }
        }
    }

    /** Blocking calls on threads of a pool. */
    private static Calls blocking(Executor pool) {
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        return (path, timeout) -> CompletableFuture.supplyAsync(() -> {
            try {
                return client.send(request(path, timeout), BodyHandlers.ofString()).statusCode();
            } catch (IOException | InterruptedException failed) {
                throw new java.util.concurrent.CompletionException(failed);
            }
        }, pool);
    }

    private static HttpRequest request(String path, Duration timeout) {
        return HttpRequest.newBuilder(URI.create(UPSTREAM + path)).timeout(timeout).build();
    }

    private static CompletableFuture<Integer> fetch(String path) {
        return CALLS.fetch(path, Duration.ofSeconds(30));
    }

    private static CompletableFuture<?> job(String verb, String id) {
        String leaf = "/leaf/" + id + "/";
        Executor soon = CompletableFuture.delayedExecutor(3, TimeUnit.MILLISECONDS);
        return switch (verb) {
            case "work" -> fetch(leaf + 1).thenApplyAsync(status -> status, soon);
            case "seq" -> fetch(leaf + 1).thenComposeAsync(status -> fetch(leaf + 2), soon);
            case "fan" -> CompletableFuture.allOf(Stream.of(1, 2, 3)
                    .map(step -> fetch(leaf + step))
                    .toArray(CompletableFuture[]::new));
            case "lock" -> CompletableFuture.runAsync(ONE_AT_A_TIME::acquireUninterruptibly, WAITING)
                    .thenCompose(locked -> fetch(leaf + 1))
                    .whenComplete((status, failure) -> ONE_AT_A_TIME.release());
            case "after" -> {
                CompletableFuture.completedFuture(id).thenComposeAsync(later -> fetch(leaf + 1), soon);
                yield CompletableFuture.completedFuture(id);
            }
            case "retry" -> fetch("/flaky/" + id + "/1").thenCompose(status -> status == 503
                    ? fetch("/flaky/" + id + "/1")
                    : CompletableFuture.completedFuture(status));
            default -> CALLS.fetch("/slow/" + id + "/1", Duration.ofMillis(50)).exceptionally(late -> 504);
        };
    }

    private static void handle(HttpExchange exchange) {
        String[] parts = exchange.getRequestURI().getPath().split("/");
        CompletableFuture<?> job = job(parts[1], parts[2]);
        if (STEALING) {
            // a thread of the pool that waits runs what others have queued, whosever it is
            job.handle((done, failure) -> done).join();
        }
        job.whenComplete((done, failure) -> {
            byte[] body = (failure == null ? "done\n" : failure + "\n").getBytes();
            try (exchange) {
                exchange.sendResponseHeaders(failure == null ? 200 : 502, body.length);
                exchange.getResponseBody().write(body);
            } catch (IOException gone) {
                // the client has left
            }
        });
    }
}
