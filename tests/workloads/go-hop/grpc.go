package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net/http"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// passOn serves every method of the service `hop`: each request has one of its own.
func passOn(fetch fetcher) grpc.StreamHandler {
	return func(_ any, stream grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(stream)
		if err := stream.RecvMsg(&emptypb.Empty{}); err != nil {
			return err
		}
		id := strings.TrimPrefix(method, "/hop/")
		step := metadata.ValueFromIncomingContext(stream.Context(), "step")
		path := fmt.Sprintf("/leaf/%s/%s", id, strings.Join(step, ""))
		if answer, err := fetch(stream.Context(), path); err != nil || answer != http.StatusOK {
			return status.Errorf(codes.Unavailable, "upstream: %d %v", answer, err)
		}
		return stream.SendMsg(&emptypb.Empty{})
	}
}

// called makes a call for the path `/hop/ID/STEP`: of the method `hop/ID`, with the step beside it.
func called(conn *grpc.ClientConn) fetcher {
	return func(ctx context.Context, path string) (int, error) {
		method, step, _ := strings.Cut(strings.TrimPrefix(path, "/hop/"), "/")
		ctx = metadata.AppendToOutgoingContext(ctx, "step", step)
		err := conn.Invoke(ctx, "/hop/"+method, &emptypb.Empty{}, &emptypb.Empty{})
		return http.StatusOK, err
	}
}

// grpcWay calls by gRPC: in the clear, over TLS, or to streams that a pool of goroutines handles.
func grpcWay(onward fetcher, style string) fetcher {
	options := []grpc.ServerOption{grpc.UnknownServiceHandler(passOn(onward))}
	client := insecure.NewCredentials()
	switch style {
	case "tls":
		own, trusted := certificate()
		options = append(options, grpc.Creds(credentials.NewServerTLSFromCert(&own)))
		client = credentials.NewTLS(&tls.Config{RootCAs: trusted})
	case "workers":
		options = append(options, grpc.NumStreamWorkers(8))
	}
	inner := listen("127.0.0.1:0")
	server := grpc.NewServer(options...)
	go func() { log.Fatal(server.Serve(inner)) }()
	conn, err := grpc.NewClient(inner.Addr().String(), grpc.WithTransportCredentials(client))
	if err != nil {
		log.Fatal(err)
	}
	return called(conn)
}
