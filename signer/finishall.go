// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

// finishAll takes the signed charges among these to their receipts: finish, of
// several side by side, with one visit to the registry for each artifact.
func (s *Service) finishAll(ctx context.Context, charges []*charge) []error {
	var open []*charge
	for _, c := range charges {
		if c.receipt == nil && c.intent.Signed != nil {
			open = append(open, c)
		}
	}
	switch len(open) {
	case 0:
		return nil
	case 1:
		return []error{s.finishOne(ctx, open[0])}
	}
	done := make([]logged, len(open))
	errs := sideBySide(lanes(open), func(lane []int) error {
		var failed []error
		for _, i := range lane {
			var err error
			if done[i], err = s.logAndCheck(ctx, open[i].intent); err != nil {
				done[i].attached = nil
			}
			failed = append(failed, about(open[i].name, err))
		}
		return errors.Join(failed...)
	})
	for _, group := range byArtifact(done) {
		errs = append(errs, s.attachGroup(ctx, group))
	}
	return append(errs, sideBySide(indexes(open), func(i int) error {
		if len(done[i].attached) == 0 || done[i].attached[0].Manifest == "" {
			return nil // said above
		}
		receipt, err := s.conclude(ctx, done[i])
		if err == nil {
			open[i].receipt = &receipt
		}
		return about(open[i].name, err)
	})...)
}

func (s *Service) finishOne(ctx context.Context, c *charge) error {
	receipt, err := s.finish(ctx, c.intent)
	if err != nil {
		return about(c.name, err)
	}
	c.receipt = &receipt
	return nil
}

// byArtifact groups what is to be attached to one artifact.
func byArtifact(all []logged) [][]*logged {
	var groups [][]*logged
	at := map[string]int{}
	for i := range all {
		l := &all[i]
		if len(l.attached) == 0 {
			continue
		}
		name := l.in.Artifact.String()
		place, known := at[name]
		if !known {
			place = len(groups)
			at[name] = place
			groups = append(groups, nil)
		}
		groups[place] = append(groups[place], l)
	}
	return groups
}

// attachGroup writes the bundles of several intents about one artifact and their
// layers under its tag, each of them at once, and reads them back. Power fails here:
// as in finish.
func (s *Service) attachGroup(ctx context.Context, group []*logged) error {
	var blobs []oci.BundleBlob
	for _, l := range group {
		for _, a := range l.attached {
			blobs = append(blobs, oci.BundleBlob{Bytes: a.Bundle, PredicateType: l.in.PredicateType, Created: l.in.Created})
		}
	}
	var layers []tagged
	for _, l := range group {
		layers = append(layers, l.layers...)
	}
	var manifests []attest.Digest
	var tags []AttachedTag
	errs := sideBySide([]func() error{ // neither needs the other
		func() (err error) {
			manifests, err = s.cfg.Registry.AttachBundles(ctx, group[0].in.Artifact, blobs)
			return err
		},
		func() (err error) {
			tags, err = s.attachTag(ctx, group[0].in, layers)
			return err
		},
	}, func(attach func() error) error { return attach() })
	if err := errors.Join(errs...); err != nil {
		return s.failGroup(ctx, group, err)
	}
	for _, l := range group {
		for i := range l.attached {
			l.attached[i].Manifest, manifests = manifests[0], manifests[1:]
			faultPoint("attached")
		}
		l.tags, tags = tags[:len(l.layers)], tags[len(l.layers):]
	}
	return nil
}

// failGroup records of each of them what has happened to all.
func (s *Service) failGroup(ctx context.Context, group []*logged, cause error) error {
	errs := make([]error, len(group))
	for i, l := range group {
		errs[i] = s.fail(ctx, l.ev, stageAttach, cause)
	}
	return errs[0]
}

// lanes are the indexes of charges that are logged one after the other, in the
// order of the request: of two scans the later one in the log counts.
func lanes(charges []*charge) [][]int {
	at := map[string][]int{}
	var order []string
	for i, c := range charges {
		name := string(c.Evidence.Kind) + " " + c.artifact.String()
		if c.Evidence.Kind == "" {
			name = c.PredicateType + " " + c.artifact.String()
		}
		if at[name] == nil {
			order = append(order, name)
		}
		at[name] = append(at[name], i)
	}
	all := make([][]int, len(order))
	for i, name := range order {
		all[i] = at[name]
		slices.SortFunc(all[i], func(a, b int) int { return charges[a].place - charges[b].place })
	}
	return all
}

// indexes are those of a list.
func indexes[T any](list []T) []int {
	all := make([]int, len(list))
	for i := range all {
		all[i] = i
	}
	return all
}

// sideBySide calls f with each of the list at the same time and returns the
// errors. A panic of one is the caller's, after all have ended.
func sideBySide[T any](list []T, f func(T) error) []error {
	errs := make([]error, len(list))
	panics := make([]any, len(list))
	var group sync.WaitGroup
	for i, one := range list {
		call := func() {
			defer func() { panics[i] = recover() }()
			errs[i] = f(one)
		}
		if len(list) == 1 {
			call()
			continue
		}
		group.Go(call)
	}
	group.Wait()
	for _, p := range panics {
		if p != nil {
			panic(p)
		}
	}
	return errs
}
