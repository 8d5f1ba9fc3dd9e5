package document

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Main runs a program with its arguments until it ends or is interrupted. After an error it
// exits with status 1.
func Main(run func(ctx context.Context, args []string, out io.Writer) error) {
	// SIGPIPE comes if the reader of the output ends first, such as head, and would end
	// the program before it has stopped what it started.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1) //nolint:gocritic // stop is called before
	}
}
