// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/index"
	"github.com/hallmark-dev/hallmark/signer/trustroot"
)

// checkedLog is what fsck found out about one log.
type checkedLog struct {
	Name     string   `json:"name"`
	Origin   string   `json:"origin"`
	Size     int64    `json:"size"`
	RootHash string   `json:"rootHash"`
	Problems []string `json:"problems"`
}

// checkedDatabase is what fsck found out.
type checkedDatabase struct {
	Logs []checkedLog `json:"logs"`
	// Problems are those of the database itself.
	Problems []string `json:"problems"`
}

func (c *checkedDatabase) problems() int {
	n := len(c.Problems)
	for _, l := range c.Logs {
		n += len(l.Problems)
	}
	return n
}

func (c *checkedDatabase) print(w io.Writer) {
	for _, l := range c.Logs {
		_, _ = fmt.Fprintf(w, "log\t%s\nname\t%s\nentries\t%d\nroot\t%s\n", l.Origin, l.Name, l.Size, l.RootHash)
		printProblems(w, l.Problems)
	}
	printProblems(w, c.Problems)
}

func printProblems(w io.Writer, problems []string) {
	for _, p := range problems {
		_, _ = fmt.Fprintf(w, "problem\t%s\n", p)
	}
}

// checkDatabase reads everything: every log, and that its key is one that
// verifiers know, then that entries are found, then the database itself.
func checkDatabase(ctx context.Context, db store.Database, m trustroot.Material) (*checkedDatabase, error) {
	checked := &checkedDatabase{Logs: []checkedLog{}, Problems: []string{}}
	rows, err := db.Logs(ctx)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%w: the database has none (hint: an init that was interrupted; run it again)", tlog.ErrNoLog)
	}
	for _, row := range rows {
		key, err := publicKeyOf(row)
		if err != nil {
			return nil, err
		}
		if !m.HasLog(key) {
			checked.Problems = append(checked.Problems, fmt.Sprintf("the trusted root has no key of log %s: verifiers refuse its entries", row.Name))
		}
	}
	reports, err := tlog.FsckAll(ctx, db, tlog.FsckConfig{Keys: certainKeys})
	if err != nil {
		return nil, err
	}
	for _, r := range reports {
		checked.Logs = append(checked.Logs, checkedLog{
			Name: r.Log, Origin: r.Origin, Size: r.Size, RootHash: hex.EncodeToString(r.Root[:]), Problems: append([]string{}, r.Problems...),
		})
	}
	damage, err := db.Damage(ctx)
	if err != nil {
		return nil, err
	}
	checked.Problems = append(checked.Problems, damage...)
	return checked, nil
}

// certainKeys returns what an entry must be found by, whoever logged it: the
// digest of what was signed. Entries of other kinds have keys that cannot be
// told from what the log keeps of them.
func certainKeys(_ tlog.LogRow, body []byte) ([]string, error) {
	type hash struct {
		Algorithm string `json:"algorithm"`
		Value     string `json:"value"`
	}
	var entry struct {
		Spec struct {
			Data        struct{ Hash hash } `json:"data"`        // hashedrekord 0.0.1
			PayloadHash hash                `json:"payloadHash"` // dsse 0.0.1
			V002        struct {
				Data struct {
					Algorithm string `json:"algorithm"`
					Digest    []byte `json:"digest"`
				} `json:"data"`
			} `json:"hashedRekordV002"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(body, &entry); err != nil {
		return nil, fmt.Errorf("the entry is not JSON: %w", err)
	}
	v2 := entry.Spec.V002.Data
	hashes := []hash{
		entry.Spec.Data.Hash, entry.Spec.PayloadHash,
		{strings.ToLower(strings.ReplaceAll(v2.Algorithm, "SHA2_", "sha")), hex.EncodeToString(v2.Digest)},
	}
	var keys []string
	for _, h := range hashes {
		if key, err := index.Hash(h.Algorithm, h.Value); err == nil {
			keys = append(keys, key)
		}
	}
	return index.Collect(keys), nil
}

func fsckCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "fsck --dir DIR", Short: "Read all logs and recompute every hash", Args: program.NoArguments,
		Long: "Read every entry, tile and checkpoint of all logs and check that each is one tree and has a key that the\n" +
			"trusted root knows; then have the database check itself, the index included. The service may be running.\n" +
			"Exit code 1: something is damaged, every problem is on stdout.",
	}
	format := program.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := openConfig(cmd, dir)
		if err != nil {
			return err
		}
		m, err := cfg.readMaterial()
		if err != nil {
			return err
		}
		db, err := openReadOnly(cmd.Context(), cfg)
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }() // only read
		checked, err := checkDatabase(cmd.Context(), db, m)
		if err != nil {
			return err
		}
		if err := program.Print(*format, cmd.OutOrStdout(), checked, checked.print); err != nil {
			return err
		}
		if n := checked.problems(); n > 0 {
			return noError{fmt.Errorf("the database is damaged, problems found: %d (hint: stop the service and keep everything as it is; docs/OPERATIONS.md, Backup)", n)}
		}
		return nil
	}
	dirFlag(cmd, &dir)
	return cmd
}
