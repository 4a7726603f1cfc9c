// SPDX-License-Identifier: Apache-2.0

// Command hallmark-chart reads and renders one Helm chart for hallmark-server,
// which starts it beside itself. It is no program for people.
//
//	hallmark-chart < QUESTION-AND-ARCHIVE > REPORT
//
// A chart is somebody's program. It runs here, in a process that has no key, no
// environment and no connection, that can open no file and start no program, and
// that the kernel ends when it takes too much time or memory: Helm's template
// engine cannot be stopped from inside. The first line of stdin is an attest.ChartQuestion as JSON, the rest is the
// archive. Exit codes: 0, stdout is an attest.ChartReport as JSON; 1, the chart
// is not acceptable, and stdout says why; anything else, it did not come to an
// end.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/helm"
	"github.com/hallmark-dev/hallmark/attest/helm/render"
)

// version is stamped by the Makefile.
var version = "devel"

// Exit codes.
const (
	exitNo        = 1
	exitUndecided = 3
)

const (
	// maxQuestion bounds the question: values are most of it.
	maxQuestion = 4 << 20
	// maxStack bounds a recursion of templates, bytes: Helm's own bound is on
	// named templates only.
	maxStack = 64 << 20
)

func main() {
	probed := len(os.Args) == 2 && os.Args[1] == attest.ChartReaderProbe
	if len(os.Args) > 1 && !probed { // only people give it other arguments
		fmt.Println("hallmark-chart", version, "reads a chart from stdin for hallmark-server")
		return
	}
	if err := limitProcess(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "hallmark-chart:", err)
		os.Exit(exitUndecided)
	}
	debug.SetMaxStack(maxStack)
	err := confine()
	if probed {
		os.Exit(confined(os.Stdout, err))
	}
	// An error was told to the server when it probed: it says so once, and goes on.
	os.Exit(run(os.Stdin, os.Stdout, os.Stderr))
}

func run(stdin io.Reader, stdout, stderr io.Writer) int {
	report, err := answer(stdin)
	switch {
	case errors.Is(err, helm.ErrChart):
		_, _ = io.WriteString(stdout, err.Error()) // the server went away
		return exitNo
	case err == nil:
		err = json.NewEncoder(stdout).Encode(report)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "hallmark-chart:", err)
		return exitUndecided
	}
	return 0
}

func answer(stdin io.Reader) (attest.ChartReport, error) {
	in := bufio.NewReaderSize(stdin, maxQuestion)
	line, err := in.ReadSlice('\n')
	if err != nil {
		return attest.ChartReport{}, fmt.Errorf("read question: %w", err)
	}
	var q attest.ChartQuestion
	if err := json.Unmarshal(line, &q); err != nil {
		return attest.ChartReport{}, fmt.Errorf("read question: %w", err)
	}
	archive, err := io.ReadAll(io.LimitReader(in, helm.MaxArchiveBytes+1))
	if err != nil {
		return attest.ChartReport{}, fmt.Errorf("read archive: %w", err)
	}
	return render.Report(archive, q)
}

// confined answers the server's question how far this process is confined.
func confined(stdout io.Writer, err error) int {
	var c attest.ChartConfinement
	if err != nil {
		c.Missing = append(c.Missing, err.Error())
	}
	if err := json.NewEncoder(stdout).Encode(c); err != nil {
		return exitUndecided
	}
	return 0
}
