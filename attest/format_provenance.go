// SPDX-License-Identifier: Apache-2.0

package attest

// SLSA provenance v1. What it claims is worth what its signer is.
// Source: https://slsa.dev/spec/v1.0/provenance

// PredicateProvenance is the type of SLSA provenance v1.
const PredicateProvenance = "https://slsa.dev/provenance/v1"

func provenanceFormat() format {
	return format{
		name: "slsa-provenance", kind: EvidenceProvenance, types: []string{PredicateProvenance},
		is: func(d *document) bool { return !d.list && d.has("buildDefinition", "runDetails") }, read: readProvenance,
	}
}

func readProvenance(d *document) (Evidence, error) {
	var definition struct {
		BuildType            string
		ResolvedDependencies []struct {
			URI    string
			Digest map[string]string
			// Annotations mark what a job says and nobody has proven.
			Annotations map[string]any
		}
	}
	var run struct {
		Builder  struct{ ID string }
		Metadata struct{ InvocationID string }
	}
	if err := d.into("buildDefinition", &definition); err != nil {
		return Evidence{}, err
	}
	if err := d.into("runDetails", &run); err != nil {
		return Evidence{}, err
	}
	switch {
	case definition.BuildType == "":
		return Evidence{}, unreadable("$.buildDefinition.buildType", "missing")
	case run.Builder.ID == "":
		return Evidence{}, unreadable("$.runDetails.builder.id", "missing")
	}
	p := &Provenance{BuilderID: keep(run.Builder.ID), BuildType: keep(definition.BuildType), Invocation: keep(run.Metadata.InvocationID)}
	if len(definition.ResolvedDependencies) > 0 && definition.ResolvedDependencies[0].Annotations[ClaimedAnnotation] == nil {
		first := definition.ResolvedDependencies[0]
		p.Source, p.Commit = keep(first.URI), keep(first.Digest["gitCommit"])
	}
	return Evidence{Provenance: p}, nil
}

// ClaimedAnnotation is on what a job has said of its own build: it is never the
// source.
const ClaimedAnnotation = "hallmark_claimed"
