{{/* What the operator does in each namespace that it watches. */}}
{{- define "ferrokeeper.rules" -}}
- apiGroups: [ferrokeeper.io]
  resources: [zookeeperclusters]
  verbs: [get, list, watch]
- apiGroups: [ferrokeeper.io]
  resources: [zookeeperclusters/status]
  verbs: [get, update, patch]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [""]
  resources: [services, configmaps]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, delete]
- apiGroups: [""]
  resources: [pods/eviction]
  verbs: [create]
# Written, never listed: the sidecars' certificates.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create, patch]
# Why a pod is missing.
- apiGroups: [""]
  resources: [events]
  verbs: [list]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [list, create, patch]
{{- end }}

{{- define "ferrokeeper.subject" -}}
- kind: ServiceAccount
  name: {{ include "ferrokeeper.serviceAccount" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}
