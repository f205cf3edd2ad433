// A shop by grpc-go, and a client of it: `server` and `server client URL COUNT CONCURRENCY MARK`.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// More than are called at once.
const methods = 100

func certificates(name string) string { return os.Getenv("CERTIFICATES") + "/" + name }

func connect(url string) *grpc.ClientConn {
	scheme, host, _ := strings.Cut(url, "://")
	how := insecure.NewCredentials()
	if scheme == "https" {
		trusted, err := credentials.NewClientTLSFromFile(certificates("ca.pem"), "localhost")
		if err != nil {
			log.Fatal(err)
		}
		how = trusted
	}
	conn, err := grpc.NewClient(host, grpc.WithTransportCredentials(how))
	if err != nil {
		log.Fatal(err)
	}
	return conn
}

func unary(ctx context.Context, conn *grpc.ClientConn, method string) error {
	return conn.Invoke(ctx, method, &emptypb.Empty{}, &emptypb.Empty{})
}

// handle serves every method: their numbers are no matter to it.
func handle(stock *grpc.ClientConn) grpc.StreamHandler {
	return func(_ any, stream grpc.ServerStream) error {
		path, _ := grpc.MethodFromServerStream(stream)
		method := strings.TrimPrefix(path, "/shop.Shop/")
		name := strings.TrimRight(method, "0123456789")
		for {
			err := stream.RecvMsg(&emptypb.Empty{})
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			answers := 1
			switch name {
			case "Find":
				return status.Error(codes.NotFound, "no such item")
			case "Fail":
				return status.Error(codes.Internal, "as asked")
			case "List":
				answers = 3
			case "Call":
				if err := unary(stream.Context(), stock, "/shop.Shop/Get"+method[len(name):]); err != nil {
					return err
				}
			}
			for ; answers > 0; answers-- {
				if err := stream.SendMsg(&emptypb.Empty{}); err != nil {
					return err
				}
			}
			if name != "Chat" {
				return nil
			}
		}
	}
}

func serve() {
	var stock *grpc.ClientConn
	if url := os.Getenv("UPSTREAM"); url != "" {
		stock = connect(url)
	}
	options := []grpc.ServerOption{grpc.UnknownServiceHandler(handle(stock))}
	if os.Getenv("TLS") != "" {
		own, err := credentials.NewServerTLSFromFile(certificates("cert.pem"), certificates("key.pem"))
		if err != nil {
			log.Fatal(err)
		}
		options = append(options, grpc.Creds(own))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	log.Fatal(grpc.NewServer(options...).Serve(listener))
}

// stream sends so many messages and takes all answers.
func stream(conn *grpc.ClientConn, method string, messages int) error {
	shape := &grpc.StreamDesc{ServerStreams: true, ClientStreams: messages > 1}
	call, err := conn.NewStream(context.Background(), shape, method)
	if err != nil {
		return err
	}
	for ; messages > 0; messages-- {
		if err := call.SendMsg(&emptypb.Empty{}); err != nil {
			return err
		}
	}
	if err := call.CloseSend(); err != nil {
		return err
	}
	for {
		if err := call.RecvMsg(&emptypb.Empty{}); err != nil {
			return err
		}
	}
}

func ask(url string, count, many int) {
	names := []string{"Get", "List", "Find", "Fail", "Chat"}
	if os.Getenv("CALLS") != "" {
		names[4] = "Call"
	}
	conn := connect(url)
	numbers := make(chan int)
	var workers sync.WaitGroup
	for range make([]struct{}, many) {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for number := range numbers {
				name := names[number%5]
				method := fmt.Sprintf("/shop.Shop/%s%d", name, number%methods)
				var err error
				switch name {
				case "List":
					err = stream(conn, method, 1)
				case "Chat":
					err = stream(conn, method, 2)
				default:
					err = unary(context.Background(), conn, method)
				}
				if status.Code(err) == codes.Unavailable {
					log.Fatal(err)
				}
			}
		}()
	}
	fmt.Println("ready")
	for {
		if _, err := os.Stat(os.Getenv("GO")); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	for number := 0; number < count; number++ {
		numbers <- number
	}
	close(numbers)
	workers.Wait()
	fmt.Println("sent")
}

func main() {
	if len(os.Args) < 6 {
		serve()
		return
	}
	count, _ := strconv.Atoi(os.Args[3])
	many, _ := strconv.Atoi(os.Args[4])
	ask(os.Args[2], count, many)
}
