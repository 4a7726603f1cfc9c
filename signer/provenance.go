// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"encoding/json"
	"fmt"

	"github.com/hallmark-dev/hallmark/attest"
)

// Provenance that the service makes: SLSA provenance v1 with nothing in it but
// what the verified token and the configuration say. A job hands over a digest
// and no other word. What nobody knows (when the build began, what else it
// read) is left out. The same run about the same digest gives the same bytes.
// Source: https://slsa.dev/spec/v1.0/provenance
type (
	provenanceJSON struct {
		BuildDefinition buildDefinitionJSON `json:"buildDefinition"`
		RunDetails      runDetailsJSON      `json:"runDetails"`
	}
	buildDefinitionJSON struct {
		BuildType            string           `json:"buildType"`
		ExternalParameters   map[string]any   `json:"externalParameters"`
		InternalParameters   map[string]any   `json:"internalParameters,omitempty"`
		ResolvedDependencies []dependencyJSON `json:"resolvedDependencies,omitempty"`
	}
	dependencyJSON struct {
		Name        string            `json:"name,omitempty"`
		URI         string            `json:"uri,omitempty"`
		Digest      map[string]string `json:"digest,omitempty"`
		Annotations map[string]bool   `json:"annotations,omitempty"`
	}
	runDetailsJSON struct {
		Builder struct {
			ID string `json:"id"`
		} `json:"builder"`
		Metadata struct {
			InvocationID string `json:"invocationId,omitempty"`
		} `json:"metadata"`
		Byproducts []dependencyJSON `json:"byproducts,omitempty"`
	}
)

// provenance makes the predicate of a run. What the job claims stands behind what
// its token proves.
func (s *Service) provenance(p Principal, claims Claimed) (carried, error) {
	e := p.Extensions
	var pr provenanceJSON
	pr.RunDetails.Builder.ID = p.SAN
	pr.RunDetails.Metadata.InvocationID = e.RunInvocationURI
	if pr.RunDetails.Metadata.InvocationID == "" {
		pr.RunDetails.Metadata.InvocationID = p.Run
	}
	d := &pr.BuildDefinition
	d.BuildType = s.cfg.Origin + "/buildtypes/" + p.Provider + "/v1"
	d.ExternalParameters = known(map[string]string{"source": e.SourceRepositoryURI, "ref": e.SourceRepositoryRef, "entryPoint": e.BuildConfigURI})
	d.InternalParameters = known(map[string]string{
		"hallmark_trigger": e.BuildTrigger, "hallmark_runnerEnvironment": e.RunnerEnvironment,
		"hallmark_sourceRepositoryId": e.SourceRepositoryIdentifier, "hallmark_sourceOwnerId": e.SourceRepositoryOwnerIdentifier,
		"hallmark_issuer": p.Issuer,
	})
	if describe := describers[p.Provider]; describe != nil {
		describe(p, &pr)
	}
	if e.SourceRepositoryURI != "" && e.SourceRepositoryDigest != "" {
		uri := "git+" + e.SourceRepositoryURI
		if e.SourceRepositoryRef != "" {
			uri += "@" + e.SourceRepositoryRef
		}
		d.ResolvedDependencies = []dependencyJSON{{URI: uri, Digest: map[string]string{"gitCommit": e.SourceRepositoryDigest}}}
	}
	d.ResolvedDependencies = append(d.ResolvedDependencies, claims.dependencies()...)
	pr.RunDetails.Byproducts = claims.byproducts()
	predicate, err := json.Marshal(pr)
	if err != nil {
		return carried{}, fmt.Errorf("make provenance: %w", err)
	}
	ev, err := attest.ReadEvidence(attest.PredicateProvenance, predicate)
	if err != nil {
		return carried{}, fmt.Errorf("make provenance: %w", err)
	}
	return carried{name: "provenance", Document: attest.Document{PredicateType: attest.PredicateProvenance, Predicate: predicate, Evidence: ev}}, nil
}

// known keeps what is known.
func known(parameters map[string]string) map[string]any {
	out := map[string]any{}
	for name, value := range parameters {
		if value != "" {
			out[name] = value
		}
	}
	return out
}
