// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hallmark-dev/hallmark/internal/lab"

	_ "modernc.org/sqlite" // the driver of the service's database
)

// sceneKey is the key of a script's scene among its values.
type sceneKey struct{}

// scene is what the commands of one script share.
type scene struct {
	t       testing.TB
	lab     *lab.Lab
	running map[string]*program
}

func sceneOf(ts *testscript.TestScript) *scene {
	return ts.Value(sceneKey{}).(*scene) //nolint:errcheck // set for every script
}

// command is a command of the scripts; it fails by an error.
type command struct {
	usage    string
	min, max int // number of arguments; max < 0 is any
	run      func(ts *testscript.TestScript, s *scene, args []string) error
}

func commands() map[string]func(*testscript.TestScript, bool, []string) {
	all := map[string]command{
		// code runs a program to its end and wants this exit code.
		"code": {"N PROGRAM [ARG]...", 2, -1, runForCode},
		// start runs one of our programs in the background and returns when it
		// has printed a line, which must be "ready". Of the environment it has
		// PATH, HOME and KEY_PASSWORD.
		"start": {"NAME PROGRAM [ARG]...", 2, -1, startProgram},
		// terminate is SIGTERM; the program must end with exit code 0. Its
		// output is that of the command. (testscript's own stop ends the
		// script, and passes.)
		"terminate": {"NAME", 1, 1, terminateProgram},
		// crash is kill -9. It returns when the program and everything that
		// it started have ended.
		"crash": {"NAME", 1, 1, crashProgram},
		// mode wants these permissions of files and folders.
		"mode": {"OCTAL FILE...", 2, -1, wantMode},
		// json wants a file (or stdout) to be one JSON value, and its members
		// to have these values.
		"json": {"FILE [MEMBER=VALUE]...", 1, -1, wantJSON},
		// token writes a CI token for the lab to a file.
		"token": {"FILE [CLAIM=VALUE]...", 1, -1, writeToken},
		// claims wants these claims of the token in a file.
		"claims": {"FILE CLAIM=VALUE...", 2, -1, wantClaims},
		// push pushes a new image to a registry (the lab's) and puts its
		// reference by digest into a variable.
		"push": {"VARIABLE REPOSITORY TAG [REGISTRY]", 3, 4, pushImage},
		// copyimage copies an image to another repository, without its
		// signatures.
		"copyimage": {"VARIABLE IMAGE REPOSITORY", 3, 3, copyImage},
		// digest puts the digest of a reference into a variable.
		"digest": {"VARIABLE IMAGE", 2, 2, digestOf},
		// bundle writes the bundle in a receipt to a file of its own.
		"bundle": {"RECEIPT FILE", 2, 2, writeBundle},
		// spoil copies a bundle with one bit of its signature changed.
		"spoil": {"BUNDLE FILE", 2, 2, spoilBundle},
		// load puts the content of a file into a variable.
		"load": {"VARIABLE FILE", 2, 2, loadVariable},
		// source takes over the variables of a file that a shell would source.
		"source": {"FILE", 1, 1, sourceFile},
		// replace replaces a text in a file, which must be there.
		"replace": {"FILE OLD NEW", 3, 3, replaceText},
		// tamper changes one byte of the first entry's body in a database.
		"tamper": {"DATABASE", 1, 1, tamper},
		// unreachable wants nobody to listen at a URL.
		"unreachable": {"URL", 1, 1, wantUnreachable},
	}
	table := map[string]func(*testscript.TestScript, bool, []string){}
	for name, c := range all {
		table[name] = func(ts *testscript.TestScript, neg bool, args []string) {
			if neg || len(args) < c.min || (c.max >= 0 && len(args) > c.max) {
				ts.Fatalf("usage: %s %s", name, c.usage)
			}
			if err := c.run(ts, sceneOf(ts), args); err != nil {
				ts.Fatalf("%s: %v", name, err)
			}
		}
	}
	return table
}

func runForCode(ts *testscript.TestScript, _ *scene, args []string) error {
	want, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got, err = exit.ExitCode(), nil
	}
	if err == nil && got != want {
		err = fmt.Errorf("exit code %d, want %d", got, want)
	}
	return err
}

func wantMode(ts *testscript.TestScript, _ *scene, args []string) error {
	want, err := strconv.ParseUint(args[0], 8, 32)
	if err != nil {
		return err
	}
	for _, file := range args[1:] {
		info, err := os.Stat(ts.MkAbs(file))
		if err != nil {
			return err
		}
		if got := info.Mode().Perm(); got != os.FileMode(want) {
			return fmt.Errorf("%s has mode %04o, want %04o", file, got, want)
		}
	}
	return nil
}

func wantJSON(ts *testscript.TestScript, _ *scene, args []string) error {
	decoder := json.NewDecoder(strings.NewReader(ts.ReadFile(args[0])))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return fmt.Errorf("%s is not JSON: %w", args[0], err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s has more than one JSON value", args[0])
	}
	object, _ := value.(map[string]any) // without members if it is none
	return wantMembers(object, args[1:])
}

// wantMembers compares members, each MEMBER=VALUE, with those of an object.
func wantMembers(object map[string]any, members []string) error {
	for _, m := range members {
		member, want, _ := strings.Cut(m, "=")
		if got := fmt.Sprint(object[member]); got != want {
			return fmt.Errorf("%s is %q, want %q", member, got, want)
		}
	}
	return nil
}

func loadVariable(ts *testscript.TestScript, _ *scene, args []string) error {
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
	return nil
}

func sourceFile(ts *testscript.TestScript, _ *scene, args []string) error {
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "export "), "=")
		if !ok || len(value) < 2 || value[0] != '\'' || value[len(value)-1] != '\'' {
			return fmt.Errorf("%s: line %q is not like export NAME='VALUE'", args[0], line)
		}
		ts.Setenv(name, value[1:len(value)-1])
	}
	return nil
}

func replaceText(ts *testscript.TestScript, _ *scene, args []string) error {
	path := ts.MkAbs(args[0])
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.Contains(raw, []byte(args[1])) {
		return fmt.Errorf("%s does not contain %q", args[0], args[1])
	}
	return os.WriteFile(path, bytes.ReplaceAll(raw, []byte(args[1]), []byte(args[2])), 0o600)
}

func tamper(ts *testscript.TestScript, s *scene, args []string) (err error) {
	db, err := sql.Open("sqlite", "file:"+ts.MkAbs(args[0]))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	ctx := s.t.Context()
	var id int64
	var body []byte
	if err := db.QueryRowContext(ctx, "SELECT id, body FROM entries ORDER BY id LIMIT 1").Scan(&id, &body); err != nil {
		return err
	}
	body[len(body)/2] ^= 1
	// A trigger keeps programs from changing entries, but no intruder.
	var trigger, definition string
	if err := db.QueryRowContext(ctx, "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'entries' AND sql LIKE '%UPDATE%'").Scan(&trigger, &definition); err != nil {
		return fmt.Errorf("find the trigger of entries: %w", err)
	}
	if _, err := db.ExecContext(ctx, `DROP TRIGGER "`+trigger+`"`); err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, "UPDATE entries SET body = ? WHERE id = ?", body, id); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, definition)
	return err
}

func wantUnreachable(_ *testscript.TestScript, s *scene, args []string) error {
	u, err := url.Parse(args[0])
	if err != nil {
		return err
	}
	conn, err := (&net.Dialer{}).DialContext(context.WithoutCancel(s.t.Context()), "tcp", u.Host)
	if err != nil {
		return nil //nolint:nilerr // as it should be
	}
	return errors.Join(fmt.Errorf("somebody listens at %s", u.Host), conn.Close())
}
