// SPDX-License-Identifier: Apache-2.0

package chartreader

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
)

// The program gives up by itself what a chart has no use for (cmd/hallmark-chart,
// confine): from then on it opens no file and makes no connection. What only who
// starts it can take away, is taken here: the network. Either would do against a
// template that looks names up; both hold if the one has a hole.
//
// Not every machine allows it: containers often forbid new namespaces. Then the
// service goes on with what there is, and says so when it starts.

// probeTimeout bounds one start of the program without a chart, on a busy
// machine.
const probeTimeout = 30 * time.Second

// way is a way to start the program.
type way struct {
	without string // what it does not have that it should; "" for nothing
	attr    func() *syscall.SysProcAttr
}

// probe starts the program in each way until one is allowed.
func (r *Reader) probe(ctx context.Context) error {
	var refused error
	for _, w := range ways {
		found, err := r.probeOnce(ctx, w)
		if err != nil {
			if refused == nil {
				refused = err
			}
			continue
		}
		r.way, r.missing = w, found.Missing
		if w.without != "" {
			r.missing = append(r.missing, fmt.Sprintf("%s: %v", w.without, refused))
		}
		return nil
	}
	return fmt.Errorf("chart reader: %s says nothing of how it is confined (hint: is it of this version?): %w", r.program, refused)
}

func (r *Reader) probeOnce(ctx context.Context, w way) (found attest.ChartConfinement, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	answer, complaint := &bounded{limit: maxReport}, &bounded{limit: maxComplaint}
	cmd := r.command(ctx, w, attest.ChartReaderProbe)
	cmd.Stdout, cmd.Stderr = answer, complaint
	if err := run(cmd); err != nil {
		return found, fmt.Errorf("%w %s", err, strings.TrimSpace(complaint.kept.String()))
	}
	words := json.NewDecoder(bytes.NewReader(answer.kept.Bytes()))
	words.DisallowUnknownFields()
	return found, words.Decode(&found)
}

// command is a start of the program: without our environment, in a folder that
// has nothing to do with us. Files of ours are closed when it starts, as Go
// opens all of them.
func (r *Reader) command(ctx context.Context, w way, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, r.program, args...) //nolint:gosec // beside our own, see New
	// One thread of Go is enough, and what is garbage goes early.
	cmd.Env, cmd.Dir, cmd.WaitDelay = []string{"GOMAXPROCS=1", "GOMEMLIMIT=700MiB", "GOTRACEBACK=none"}, "/", killDelay
	if w.attr != nil {
		cmd.SysProcAttr = w.attr()
	}
	return cmd
}

// run runs the command from a thread that does not end before it: the kernel
// kills the program when its parent ends, and takes the thread for that.
func run(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return cmd.Run()
}
