package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/spf13/cobra"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/source"
)

func newRecord() *cobra.Command {
	const help = `Record watches this host like run, and writes every event as a line of JSON
instead of judging it. Scan and query read the file back with the same answers.

The file begins with the processes that are there already. Interrupt and SIGTERM
end it once all that has happened is written.`
	var (
		in   watching
		name string
	)
	cmd := &cobra.Command{
		Use:   "record",
		Short: "Watch this host and write every event to a file",
		Long:  help + "\n\n" + exitCodes,
		Example: `  orlop record --out events.ndjson.zst
  orlop record --loginuid 1000 | orlop query 'process where process.name == "ctr"'`,
		Args: cobra.NoArgs,
	}
	in.add(cmd)
	cmd.Flags().StringVar(&name, "out", "-", "where to (`FILE`; - is standard output; a name that ends in .zst is compressed)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := in.config()
		if err != nil {
			return err
		}
		src, err := agent.OpenLive(c.Kind, agent.LiveOptions{Options: source.Options{Schema: event.NewSchema()}, LoginUID: c.LoginUID})
		if err != nil {
			return &failure{exitUsage, err}
		}
		defer src.Close()
		out, err := newRecording(name, cmd.OutOrStdout())
		if err != nil {
			return &failure{exitIO, err}
		}
		log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
		log.Info("watching", "source", src.String())
		err = src.Run(cmd.Context(), out.add)
		closed := out.close()
		in := src.Intake()
		log.Info("ended", "events", fmt.Sprintf("%d = %d written + %d filtered + %d lost", in.Seen, in.Emitted, in.Filtered, in.Lost))
		if err := errors.Join(err, closed); err != nil {
			return &failure{exitIO, fmt.Errorf("record: %w", err)}
		}
		return nil
	}
	return cmd
}

// A recording is a file of events.
type recording struct {
	w       *bufio.Writer
	closers []io.Closer
}

func newRecording(name string, stdout io.Writer) (*recording, error) {
	w := stdout
	r := &recording{}
	if name != "-" {
		f, err := os.Create(name)
		if err != nil {
			return nil, err
		}
		w, r.closers = f, []io.Closer{f}
	}
	if strings.HasSuffix(name, ".zst") {
		z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		w, r.closers = z, append([]io.Closer{z}, r.closers...)
	}
	r.w = bufio.NewWriterSize(w, 64<<10)
	return r, nil
}

func (r *recording) add(e *event.Event) error {
	if bytes.IndexByte(e.Raw, '\n') >= 0 {
		return errors.New("bug: a document of two lines")
	}
	if _, err := r.w.Write(e.Raw); err != nil {
		return err
	}
	return r.w.WriteByte('\n')
}

func (r *recording) close() error {
	errs := []error{r.w.Flush()}
	for _, c := range r.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
