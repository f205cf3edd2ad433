package com.example.shop;

import io.grpc.CallOptions;
import io.grpc.ManagedChannel;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.ServerCalls;
import io.grpc.stub.StreamObserver;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslProvider;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** A shop by grpc-netty, and by arguments a client of it. With TLS it is tcnative's BoringSSL. */
public final class Shop {
    /** More than are called at once. */
    private static final int METHODS = 100;
    private static final byte[] EMPTY = new byte[0];

    private static File certificates(String name) {
        return new File(System.getenv("CERTIFICATES"), name);
    }

    private static final class Bytes implements MethodDescriptor.Marshaller<byte[]> {
        @Override
        public InputStream stream(byte[] value) {
            return new ByteArrayInputStream(value);
        }

        @Override
        public byte[] parse(InputStream stream) {
            try {
                return stream.readAllBytes();
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        }
    }

    private static MethodDescriptor<byte[], byte[]> method(String name, MethodType type) {
        return MethodDescriptor.newBuilder(new Bytes(), new Bytes())
            .setFullMethodName("shop.Shop/" + name).setType(type).build();
    }

    private static ManagedChannel connect(String url) throws Exception {
        String[] parts = url.split("://");
        String[] host = parts[1].split(":");
        NettyChannelBuilder builder = NettyChannelBuilder.forAddress(host[0], Integer.parseInt(host[1]));
        if (parts[0].equals("https")) {
            builder.overrideAuthority("localhost").sslContext(
                GrpcSslContexts.configure(SslContextBuilder.forClient(), SslProvider.OPENSSL)
                    .trustManager(certificates("ca.pem")).build());
        } else {
            builder.usePlaintext();
        }
        return builder.build();
    }

    private static void serve() throws Exception {
        String upstream = System.getenv().getOrDefault("UPSTREAM", "");
        ManagedChannel stock = upstream.isEmpty() ? null : connect(upstream);
        ServerServiceDefinition.Builder service = ServerServiceDefinition.builder("shop.Shop");
        for (int number = 0; number < METHODS; number++) {
            MethodDescriptor<byte[], byte[]> get = method("Get" + number, MethodType.UNARY);
            unary(service, "Get" + number, request -> request);
            unary(service, "Find" + number, request -> {
                throw Status.NOT_FOUND.asRuntimeException();
            });
            unary(service, "Fail" + number, request -> {
                throw Status.INTERNAL.asRuntimeException();
            });
            unary(service, "Call" + number,
                request -> ClientCalls.blockingUnaryCall(stock, get, CallOptions.DEFAULT, EMPTY));
            service.addMethod(method("List" + number, MethodType.SERVER_STREAMING),
                ServerCalls.asyncServerStreamingCall((request, answers) -> {
                    for (int item = 0; item < 3; item++) {
                        answers.onNext(EMPTY);
                    }
                    answers.onCompleted();
                }));
            service.addMethod(method("Chat" + number, MethodType.BIDI_STREAMING),
                ServerCalls.asyncBidiStreamingCall(answers -> answers));
        }
        int port = Integer.parseInt(System.getenv("PORT"));
        NettyServerBuilder builder = NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", port));
        if (!System.getenv().getOrDefault("TLS", "").isEmpty()) {
            builder.sslContext(GrpcSslContexts.configure(
                SslContextBuilder.forServer(certificates("cert.pem"), certificates("key.pem")),
                SslProvider.OPENSSL).build());
        }
        builder.addService(service.build()).build().start();
        System.out.println("listening on " + port);
        Thread.currentThread().join();
    }

    private interface Answer {
        byte[] to(byte[] request);
    }

    private static void unary(ServerServiceDefinition.Builder service, String name, Answer answer) {
        service.addMethod(method(name, MethodType.UNARY), ServerCalls.asyncUnaryCall((request, answers) -> {
            try {
                answers.onNext(answer.to(request));
                answers.onCompleted();
            } catch (StatusRuntimeException error) {
                answers.onError(error);
            }
        }));
    }

    private static void send(ManagedChannel channel, String name, int number) throws Exception {
        String full = name + number % METHODS;
        switch (name) {
            case "List" -> ClientCalls.blockingServerStreamingCall(
                channel, method(full, MethodType.SERVER_STREAMING), CallOptions.DEFAULT, EMPTY)
                .forEachRemaining(item -> { });
            case "Chat" -> {
                CountDownLatch over = new CountDownLatch(1);
                StreamObserver<byte[]> call = ClientCalls.asyncBidiStreamingCall(
                    channel.newCall(method(full, MethodType.BIDI_STREAMING), CallOptions.DEFAULT),
                    new StreamObserver<byte[]>() {
                        @Override
                        public void onNext(byte[] value) { }

                        @Override
                        public void onError(Throwable error) {
                            over.countDown();
                        }

                        @Override
                        public void onCompleted() {
                            over.countDown();
                        }
                    });
                call.onNext(EMPTY);
                call.onNext(EMPTY);
                call.onCompleted();
                over.await();
            }
            default -> {
                try {
                    ClientCalls.blockingUnaryCall(channel, method(full, MethodType.UNARY), CallOptions.DEFAULT, EMPTY);
                } catch (StatusRuntimeException error) {
                    if (error.getStatus().getCode() == Status.Code.UNAVAILABLE) {
                        throw error;
                    }
                }
            }
        }
    }

    private static void ask(String url, int count, int many) throws Exception {
        String last = System.getenv().getOrDefault("CALLS", "").isEmpty() ? "Chat" : "Call";
        String[] names = {"Get", "List", "Find", "Fail", last};
        ManagedChannel channel = connect(url);
        ExecutorService pool = Executors.newFixedThreadPool(many);
        AtomicInteger next = new AtomicInteger();
        System.out.println("ready");
        while (!Files.exists(Path.of(System.getenv("GO")))) {
            Thread.sleep(20);
        }
        for (int worker = 0; worker < many; worker++) {
            pool.submit(() -> {
                for (int n = next.getAndIncrement(); n < count; n = next.getAndIncrement()) {
                    send(channel, names[n % 5], n);
                }
                return null;
            });
        }
        pool.shutdown();
        pool.awaitTermination(100, TimeUnit.SECONDS);
        System.out.println("sent");
        channel.shutdown().awaitTermination(5, TimeUnit.SECONDS);
        System.exit(0);
    }

    public static void main(String[] args) throws Exception {
        if (args.length < 4) {
            serve();
        } else {
            ask(args[0], Integer.parseInt(args[1]), Integer.parseInt(args[2]));
        }
    }
}
