import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import java.io.FileInputStream;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** A shop by the JDK's own HttpsServer, and by arguments a client of it by java.net.http. */
public class Server {
    static final Path CERTIFICATES = Path.of(System.getenv("CERTIFICATES"));

    static Certificate certificate(String name) throws Exception {
        try (FileInputStream in = new FileInputStream(CERTIFICATES.resolve(name).toFile())) {
            return CertificateFactory.getInstance("X.509").generateCertificate(in);
        }
    }

    static SSLContext context() throws Exception {
        String pem = Files.readString(CERTIFICATES.resolve("key.pem")).replaceAll("-----[^-]*-----|\\s", "");
        PKCS8EncodedKeySpec key = new PKCS8EncodedKeySpec(Base64.getDecoder().decode(pem));
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        store.setCertificateEntry("ca", certificate("ca.pem"));
        store.setKeyEntry("own", KeyFactory.getInstance("RSA").generatePrivate(key), new char[0],
            new Certificate[] {certificate("cert.pem")});
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(store, new char[0]);
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        return context;
    }

    static HttpClient client() throws Exception {
        return HttpClient.newBuilder().sslContext(context()).version(HttpClient.Version.HTTP_1_1).build();
    }

    static void send(HttpClient client, String method, String url) throws Exception {
        HttpRequest.BodyPublisher body = method.equals("POST")
            ? HttpRequest.BodyPublishers.ofString("name=new") : HttpRequest.BodyPublishers.noBody();
        client.send(HttpRequest.newBuilder(URI.create(url)).method(method, body).build(),
            HttpResponse.BodyHandlers.ofByteArray());
    }

    static void serve(int port) throws Exception {
        HttpClient stock = client();
        HttpsServer server = HttpsServer.create(new InetSocketAddress("127.0.0.1", port), 128);
        server.setHttpsConfigurator(new HttpsConfigurator(context()));
        server.setExecutor(Executors.newFixedThreadPool(64));
        server.createContext("/", exchange -> {
            String[] parts = exchange.getRequestURI().getPath().split("/");
            exchange.getRequestBody().readAllBytes();
            int status = switch (parts[1]) {
                case "items", "call" -> 200;
                case "missing" -> 404;
                default -> 500;
            };
            if (exchange.getRequestMethod().equals("POST")) {
                status = 201;
            }
            if (parts[1].equals("call")) {
                try {
                    send(stock, "GET", System.getenv("UPSTREAM") + "/items/" + parts[2]);
                } catch (Exception error) {
                    status = 502;
                }
            }
            byte[] body = "an item\n".getBytes();
            exchange.sendResponseHeaders(status, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        server.start();
        System.out.println("listening on " + port);
    }

    static void ask(String url, int count, int many, String mark) throws Exception {
        String call = System.getenv().getOrDefault("CALLS", "").isEmpty() ? "items" : "call";
        String[] verbs = {"items", "items", "missing", "broken", call};
        HttpClient client = client();
        ExecutorService pool = Executors.newFixedThreadPool(many);
        AtomicInteger next = new AtomicInteger();
        System.out.println("ready");
        while (!Files.exists(Path.of(System.getenv("GO")))) {
            Thread.sleep(20);
        }
        for (int worker = 0; worker < many; worker++) {
            pool.submit(() -> {
                for (int n = next.getAndIncrement(); n < count; n = next.getAndIncrement()) {
                    send(client, n % 5 == 1 ? "POST" : "GET", url + "/" + verbs[n % 5] + "/" + mark + "n" + n);
                }
                return null;
            });
        }
        pool.shutdown();
        pool.awaitTermination(100, TimeUnit.SECONDS);
        System.out.println("sent");
        System.exit(0);
    }

    public static void main(String[] args) throws Exception {
        if (args.length < 4) {
            serve(Integer.parseInt(System.getenv("PORT")));
        } else {
            ask(args[0], Integer.parseInt(args[1]), Integer.parseInt(args[2]), args[3]);
        }
    }
}
