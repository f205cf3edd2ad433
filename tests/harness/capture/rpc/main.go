// The same calls over gRPC, gRPC-Web and Connect: `rpc` serves, `rpc SYSTEM STORY...` calls.
package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	text "google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	grpcPort    = "127.0.0.1:28084"
	connectPort = "127.0.0.1:28085"
	target      = "127.0.0.1:28080"
)

// What "Get" answers to a name.
func answer(ctx context.Context, name string) (string, codes.Code) {
	switch name {
	case "missing":
		return "", codes.NotFound
	case "broken":
		return "", codes.Internal
	case "slow":
		select {
		case <-ctx.Done():
			return "", status.FromContextError(ctx.Err()).Code()
		case <-time.After(time.Second):
		}
	}
	return "hello " + name, codes.OK
}

func serveGRPC() {
	get := func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		name := new(text.StringValue)
		if err := decode(name); err != nil {
			return nil, err
		}
		found, code := answer(ctx, name.Value)
		if code != codes.OK {
			return nil, status.Error(code, "no "+name.Value)
		}
		return text.String(found), nil
	}
	watch := func(_ any, stream grpc.ServerStream) error {
		name := new(text.StringValue)
		for {
			err := stream.RecvMsg(name)
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			if err := stream.SendMsg(text.String("hello " + name.Value)); err != nil {
				return err
			}
			if err := stream.SendMsg(text.String(strings.Repeat("x", 3000))); err != nil {
				return err
			}
		}
	}
	server := grpc.NewServer()
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "shop.Names",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Get", Handler: get}},
		Streams: []grpc.StreamDesc{
			{StreamName: "Watch", Handler: watch, ServerStreams: true, ClientStreams: true},
		},
	}, nil)
	listener, err := net.Listen("tcp", grpcPort)
	if err != nil {
		panic(err)
	}
	panic(server.Serve(listener))
}

func serveConnect() {
	mux := http.NewServeMux()
	mux.Handle("/shop.Names/Get", connect.NewUnaryHandler("/shop.Names/Get",
		func(ctx context.Context, request *connect.Request[text.StringValue]) (*connect.Response[text.StringValue], error) {
			found, code := answer(ctx, request.Msg.Value)
			if code != codes.OK {
				return nil, connect.NewError(connect.Code(code), errors.New("no "+request.Msg.Value))
			}
			return connect.NewResponse(text.String(found)), nil
		}, connect.WithIdempotency(connect.IdempotencyNoSideEffects)))
	mux.Handle("/shop.Names/List", connect.NewServerStreamHandler("/shop.Names/List",
		func(_ context.Context, request *connect.Request[text.StringValue], stream *connect.ServerStream[text.StringValue]) error {
			for range 3 {
				if err := stream.Send(text.String("hello " + request.Msg.Value)); err != nil {
					return err
				}
			}
			if request.Msg.Value == "broken" {
				return connect.NewError(connect.CodeDataLoss, errors.New("lost"))
			}
			return nil
		}))
	mux.Handle("/shop.Names/Watch", connect.NewBidiStreamHandler("/shop.Names/Watch",
		func(_ context.Context, stream *connect.BidiStream[text.StringValue, text.StringValue]) error {
			for {
				name, err := stream.Receive()
				if errors.Is(err, io.EOF) {
					return nil
				}
				if err != nil {
					return err
				}
				if err := stream.Send(text.String("hello " + name.Value)); err != nil {
					return err
				}
			}
		}))
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Addr: connectPort, Handler: mux, Protocols: protocols}
	panic(server.ListenAndServe())
}

func callGRPC(stories []string) {
	client, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		panic(err)
	}
	defer client.Close()
	for _, story := range stories {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		switch story {
		case "watch":
			watch := &grpc.StreamDesc{StreamName: "Watch", ServerStreams: true, ClientStreams: true}
			stream, err := client.NewStream(ctx, watch, "/shop.Names/Watch")
			if err != nil {
				panic(err)
			}
			got := new(text.StringValue)
			for range 3 {
				stream.SendMsg(text.String("world"))
				stream.RecvMsg(got)
				stream.RecvMsg(got)
			}
			stream.CloseSend()
			stream.RecvMsg(got)
		case "unknown":
			client.Invoke(ctx, "/shop.Names/Nonsense", text.String("x"), new(text.StringValue))
		case "late":
			short, stop := context.WithTimeout(ctx, 100*time.Millisecond)
			client.Invoke(short, "/shop.Names/Get", text.String("slow"), new(text.StringValue))
			stop()
		case "cancel":
			short, stop := context.WithCancel(ctx)
			time.AfterFunc(100*time.Millisecond, stop)
			client.Invoke(short, "/shop.Names/Get", text.String("slow"), new(text.StringValue))
		default:
			client.Invoke(ctx, "/shop.Names/Get", text.String(story), new(text.StringValue))
		}
		cancel()
	}
	// The cancellation is still to be sent.
	time.Sleep(50 * time.Millisecond)
}

func callConnect(protocols *http.Protocols, stories []string, options ...connect.ClientOption) {
	client := &http.Client{Transport: &http.Transport{Protocols: protocols, DisableCompression: true}}
	url := "http://" + target + "/shop.Names/"
	get := connect.NewClient[text.StringValue, text.StringValue](client, url+"Get", options...)
	list := connect.NewClient[text.StringValue, text.StringValue](client, url+"List", options...)
	watch := connect.NewClient[text.StringValue, text.StringValue](client, url+"Watch", options...)
	for _, story := range stories {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		switch {
		case story == "watch":
			stream := watch.CallBidiStream(ctx)
			for range 3 {
				stream.Send(text.String("world"))
				stream.Receive()
			}
			stream.CloseRequest()
			stream.Receive()
			stream.CloseResponse()
		case strings.HasPrefix(story, "list-"):
			stream, err := list.CallServerStream(ctx, connect.NewRequest(text.String(story[5:])))
			if err == nil {
				for stream.Receive() {
				}
				stream.Close()
			}
		default:
			get.CallUnary(ctx, connect.NewRequest(text.String(story)))
		}
		cancel()
	}
}

func main() {
	if len(os.Args) < 3 {
		go serveConnect()
		serveGRPC()
	}
	two, one := new(http.Protocols), new(http.Protocols)
	two.SetUnencryptedHTTP2(true)
	one.SetHTTP1(true)
	stories := os.Args[2:]
	switch os.Args[1] {
	case "grpc":
		callGRPC(stories)
	case "connect-grpc":
		callConnect(two, stories, connect.WithGRPC())
	case "web":
		callConnect(one, stories, connect.WithGRPCWeb())
	case "web2":
		callConnect(two, stories, connect.WithGRPCWeb())
	case "connect":
		callConnect(one, stories, connect.WithSendGzip())
	case "connect2":
		callConnect(two, stories)
	case "connect-get":
		callConnect(one, stories, connect.WithHTTPGet(), connect.WithIdempotency(connect.IdempotencyNoSideEffects), connect.WithProtoJSON())
	}
}
