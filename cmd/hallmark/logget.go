// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
)

// entryDocument is what get and prove print of an entry.
type entryDocument struct {
	Log    string `json:"log,omitempty"`
	Origin string `json:"origin"`
	LogID  string `json:"logID"`
	// LogIndex is what clients of the log's API call the entry by; Index the
	// one in the tree. They differ in v1 shards after the first.
	LogIndex             int64           `json:"logIndex"`
	Index                int64           `json:"index"`
	UUID                 string          `json:"uuid"`
	EntryID              string          `json:"entryID,omitempty"`
	Kind                 string          `json:"kind"`
	Version              string          `json:"version"`
	IntegratedTime       int64           `json:"integratedTime,omitempty"`
	SignedEntryTimestamp []byte          `json:"signedEntryTimestamp,omitempty"`
	Body                 []byte          `json:"body"`
	InclusionProof       proofDocument   `json:"inclusionProof"`
	Checkpoint           string          `json:"checkpoint"`
	Artifact             *artifactLinked `json:"artifact,omitempty"`
}

type proofDocument struct {
	TreeSize int64    `json:"treeSize"`
	RootHash string   `json:"rootHash"`
	Hashes   []string `json:"hashes"`
}

// kindOf reads what every body of either API begins with.
func kindOf(body []byte) (kind, version string) {
	var head struct {
		Kind       string `json:"kind"`
		APIVersion string `json:"apiVersion"`
	}
	if json.Unmarshal(body, &head) != nil {
		return "unknown", ""
	}
	return head.Kind, head.APIVersion
}

func (e *foundEntry) document() entryDocument {
	kind, version := kindOf(e.body)
	d := entryDocument{
		Log: e.row.Name, Origin: e.view.Origin, LogID: e.view.key.id,
		LogIndex: e.logIndex(), Index: e.index, UUID: hex.EncodeToString(e.hash[:]), EntryID: e.entryID(),
		Kind: kind, Version: version, IntegratedTime: e.time, SignedEntryTimestamp: e.set, Body: e.body,
		InclusionProof: proofDocument{TreeSize: e.view.Size, RootHash: hex.EncodeToString(e.view.Root[:]), Hashes: []string{}},
		Checkpoint:     string(e.view.signed),
	}
	for _, h := range e.proof {
		d.InclusionProof.Hashes = append(d.InclusionProof.Hashes, hex.EncodeToString(h[:]))
	}
	return d
}

func (d entryDocument) print(w io.Writer) {
	_, _ = fmt.Fprintf(w, "log\t%s\n", d.Origin)
	_, _ = fmt.Fprintf(w, "entry\t%d\n", d.LogIndex)
	if d.LogIndex != d.Index {
		_, _ = fmt.Fprintf(w, "index in this log\t%d\n", d.Index)
	}
	_, _ = fmt.Fprintf(w, "uuid\t%s\n", d.UUID)
	if d.EntryID != "" {
		_, _ = fmt.Fprintf(w, "entry id\t%s\n", d.EntryID)
	}
	_, _ = fmt.Fprintf(w, "kind\t%s %s\n", program.Printable(d.Kind), program.Printable(d.Version))
	if d.IntegratedTime != 0 {
		_, _ = fmt.Fprintf(w, "logged at\t%s\n", time.Unix(d.IntegratedTime, 0).UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	if d.Artifact != nil {
		_, _ = fmt.Fprintf(w, "about\t%s, %s\n", d.Artifact.Digest, d.Artifact.How)
	}
	_, _ = fmt.Fprintf(w, "proven\tin the tree of %d entries with root %s\n", d.InclusionProof.TreeSize, d.InclusionProof.RootHash)
}

func logGetCommand(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "get INDEX|UUID|ENTRYID", Short: "Print an entry, checked", Args: oneArgument("entry"),
		Long: "Print an entry of the log, with its inclusion proof and the checkpoint that the proof leads to. Both are checked against\n" +
			"the trusted root, and of v1 logs the signed entry timestamp too.\n" +
			"INDEX is the one that Rekor v1 clients and receipts show, over all v1 logs; with --log it is the index in that log.",
	}
	f := addLogFlags(cmd)
	f.addLogChoice(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		keys, err := f.keys(cmd.Context(), env)
		if err != nil {
			return err
		}
		e, err := f.find(cmd, env, keys, args[0])
		if err != nil {
			return err
		}
		d := e.document()
		return program.Print(*f.output, env.stdout, d, func(w io.Writer) {
			d.print(w)
			_, _ = fmt.Fprintf(w, "body\t%s\n", program.Printable(string(d.Body)))
		})
	}
	return cmd
}

// find finds an entry of the service, or of the log at --url.
func (f *logFlags) find(cmd *cobra.Command, env environment, keys *logKeys, id string) (*foundEntry, error) {
	if f.url == "" {
		service, err := f.service(env)
		if err != nil {
			return nil, err
		}
		finder, err := newFinder(cmd.Context(), service, keys)
		if err != nil {
			return nil, err
		}
		return finder.find(cmd.Context(), f.log, id)
	}
	source, err := f.plainLog()
	if err != nil {
		return nil, err
	}
	index, err := plainIndex(id)
	if err != nil {
		return nil, err
	}
	view, err := viewLog(cmd.Context(), source, keys)
	if err != nil {
		return nil, err
	}
	proven, err := view.entry(cmd.Context(), index)
	if err != nil {
		return nil, err
	}
	return &foundEntry{provenEntry: proven, view: view}, nil
}
