// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/hallmark-dev/hallmark/internal/program"
)

// Progress of an upload is for somebody who sits before a terminal. A log of a
// CI job, a file, and a program that reads the output see nothing of it.

const (
	// smallUpload is what is sent before anybody wonders, bytes.
	smallUpload = 256 << 10
	// redrawEvery keeps a terminal over a slow line usable.
	redrawEvery = 100 * time.Millisecond
	barWidth    = 24
)

// progressBar is where the bar is drawn, or nil if nobody is there to see it:
// stderr is no terminal, a program reads the output, or a CI system says that
// this is a job.
func progressBar(env environment, format string) io.Writer {
	file, ok := env.stderr.(*os.File)
	if !ok || format == program.FormatJSON || env.getenv("CI") != "" || env.getenv("TERM") == "dumb" {
		return nil
	}
	if info, err := file.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 || file.Name() == os.DevNull {
		return nil
	}
	return file
}

// uploadProgress is what a command's calls report to.
func uploadProgress(cmd *cobra.Command, env environment) io.Writer {
	format := program.FormatText
	if f := cmd.Flags().Lookup("output"); f != nil {
		format = f.Value.String()
	}
	return progressBar(env, format)
}

// progressReader draws how much of a body of known size was read. It changes
// nothing that is read.
type progressReader struct {
	io.Reader
	to    io.Writer
	total int64
	now   func() time.Time

	mu    sync.Mutex // guards the rest: a transport may still read when the answer is there
	read  int64
	drawn time.Time
	ended bool
}

// withProgress returns body, watched if there is somewhere to draw and enough
// to wait for. done removes the bar; it may be called more than once.
func withProgress(body io.Reader, total int64, to io.Writer) (watched io.Reader, done func()) {
	if to == nil || total < smallUpload {
		return body, func() {}
	}
	p := &progressReader{Reader: body, to: to, total: total, now: time.Now}
	return p, p.done
}

// Read implements io.Reader.
func (p *progressReader) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read += int64(n)
	if now := p.now(); !p.ended && (now.Sub(p.drawn) >= redrawEvery || p.read >= p.total) {
		p.drawn = now
		draw(p.to, p.line())
	}
	return n, err
}

func (p *progressReader) line() string {
	share := min(float64(p.read)/float64(max(p.total, 1)), 1)
	full := int(share * barWidth)
	said := fmt.Sprintf("sending [%s%s] %3d%% %s of %s", strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), int(share*100), mebibytes(p.read), mebibytes(p.total))
	if p.read >= p.total {
		said += ", waiting for the service"
	}
	return said
}

// draw replaces the line that is there, up to its end, so that nothing of an
// older one stays. A line that is wider than the terminal would go on in the next
// one, where the next drawing does not reach it. Nothing has a colour (NO_COLOR).
func draw(to io.Writer, line string) {
	if letters, width := []rune(line), widthOf(to); width > 1 && len(letters) >= width {
		line = string(letters[:width-1])
	}
	_, _ = fmt.Fprintf(to, "\r%s\x1b[K", line)
}

// widthOf is how wide a terminal is, 0 if it does not say.
func widthOf(to io.Writer) int {
	file, ok := to.(interface{ Fd() uintptr })
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// isTerminal tells a terminal from a file or a pipe.
func isTerminal(w io.Writer) bool {
	if watched, ok := w.(*program.Watched); ok {
		w = watched.Writer
	}
	file, ok := w.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(file.Fd()))
}

// working says on a terminal what takes a while. done removes it.
func working(to io.Writer, what string) (done func()) {
	if to == nil {
		return func() {}
	}
	draw(to, program.Printable(what)+" …")
	return func() { _, _ = io.WriteString(to, "\r\x1b[K") }
}

func (p *progressReader) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended && !p.drawn.IsZero() {
		_, _ = io.WriteString(p.to, "\r\x1b[K")
	}
	p.ended = true
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
