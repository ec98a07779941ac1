"""The Kubernetes API as far as minikubelet reads it: fields, types, list keys. Generated, do not edit.

Made by `scripts/derive_schema.py` from the definitions of Kubernetes 1.37.0. One line of text per type:
`field:type` separated by spaces. A `!` after the name marks a field that the API requires. Types:

    s string          i integer, 32 bits     l integer, 64 bits    b boolean
    t RFC 3339 time   y base64 bytes         q quantity            p integer or string
    j any JSON        [T] list of T          {T} map of string to T
    [T]@a,b list of T, whose items are told apart by the fields a and b
    Name              the type of that name below

`schema` reads this; nothing else should.
"""

VERSION = "1.37.0"

KINDS = {
    "Pod": "v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
    "Deployment": "apps/v1",
    "ReplicaSet": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "ReplicationController": "v1",
    "ConfigMap": "v1",
    "Secret": "v1",
    "Service": "v1",
}
"Kind to its apiVersion."

TYPES = {
    "AWSElasticBlockStoreVolumeSource": "fsType:s partition:i readOnly:b volumeID!:s",
    "Affinity": "nodeAffinity:NodeAffinity podAffinity:PodAffinity podAntiAffinity:PodAntiAffinity",
    "AppArmorProfile": "localhostProfile:s type!:s",
    "AzureDiskVolumeSource": "cachingMode:s diskName!:s diskURI!:s fsType:s kind:s readOnly:b",
    "AzureFileVolumeSource": "readOnly:b secretName!:s shareName!:s",
    "CSIVolumeSource": (
        "driver!:s fsType:s nodePublishSecretRef:LocalObjectReference readOnly:b volumeAttributes:{s}"
    ),
    "Capabilities": "add:[s] drop:[s]",
    "CephFSVolumeSource": (
        "monitors!:[s] path:s readOnly:b secretFile:s secretRef:LocalObjectReference user:s"
    ),
    "CinderVolumeSource": "fsType:s readOnly:b secretRef:LocalObjectReference volumeID!:s",
    "ClientIPConfig": "timeoutSeconds:i",
    "ClusterTrustBundleProjection": (
        "labelSelector:LabelSelector name:s optional:b path!:s signerName:s user:l"
    ),
    "Condition": "lastTransitionTime!:t message!:s observedGeneration:l reason!:s status!:s type!:s",
    "ConfigMap": "apiVersion:s binaryData:{y} data:{s} immutable:b kind:s metadata:ObjectMeta",
    "ConfigMapEnvSource": "name:s optional:b",
    "ConfigMapKeySelector": "key!:s name:s optional:b",
    "ConfigMapProjection": "items:[KeyToPath] name:s optional:b",
    "ConfigMapVolumeSource": "defaultMode:i defaultUser:l items:[KeyToPath] name:s optional:b",
    "Container": (
        "args:[s] command:[s] env:[EnvVar]@name envFrom:[EnvFromSource] image:s imagePullPolicy:s "
        "lifecycle:Lifecycle livenessProbe:Probe name!:s ports:[ContainerPort]@containerPort,protocol "
        "readinessProbe:Probe resizePolicy:[ContainerResizePolicy] resources:ResourceRequirements "
        "restartPolicy:s restartPolicyRules:[ContainerRestartRule] securityContext:SecurityContext "
        "startupProbe:Probe stdin:b stdinOnce:b terminationMessagePath:s terminationMessagePolicy:s tty:b "
        "volumeDevices:[VolumeDevice]@devicePath volumeMounts:[VolumeMount]@mountPath workingDir:s"
    ),
    "ContainerExtendedResourceRequest": "containerName!:s requestName!:s resourceName!:s",
    "ContainerPort": "containerPort!:i hostIP:s hostPort:i name:s protocol:s",
    "ContainerResizePolicy": "resourceName!:s restartPolicy!:s",
    "ContainerRestartRule": "action!:s exitCodes:ContainerRestartRuleOnExitCodes",
    "ContainerRestartRuleOnExitCodes": "operator!:s values:[i]",
    "ContainerState": (
        "running:ContainerStateRunning terminated:ContainerStateTerminated waiting:ContainerStateWaiting"
    ),
    "ContainerStateRunning": "startedAt:t",
    "ContainerStateTerminated": (
        "containerID:s exitCode!:i finishedAt:t message:s reason:s signal:i startedAt:t"
    ),
    "ContainerStateWaiting": "message:s reason:s",
    "ContainerStatus": (
        "allocatedResources:{q} allocatedResourcesStatus:[ResourceStatus]@name containerID:s image!:s "
        "imageID!:s lastState:ContainerState name!:s ready!:b resources:ResourceRequirements "
        "restartCount!:i started:b state:ContainerState stopSignal:s user:ContainerUser "
        "volumeMounts:[VolumeMountStatus]@mountPath"
    ),
    "ContainerUser": "linux:LinuxContainerUser",
    "CronJob": "apiVersion:s kind:s metadata:ObjectMeta spec!:CronJobSpec status:CronJobStatus",
    "CronJobSpec": (
        "concurrencyPolicy:s failedJobsHistoryLimit:i jobTemplate!:JobTemplateSpec schedule!:s "
        "startingDeadlineSeconds:l successfulJobsHistoryLimit:i suspend:b timeZone:s"
    ),
    "CronJobStatus": "active:[ObjectReference] lastScheduleTime:t lastSuccessfulTime:t",
    "DaemonSet": "apiVersion:s kind:s metadata:ObjectMeta spec!:DaemonSetSpec status:DaemonSetStatus",
    "DaemonSetCondition": "lastTransitionTime:t message:s reason:s status:s type:s",
    "DaemonSetSpec": (
        "minReadySeconds:i revisionHistoryLimit:i selector!:LabelSelector template!:PodTemplateSpec "
        "updateStrategy:DaemonSetUpdateStrategy"
    ),
    "DaemonSetStatus": (
        "collisionCount:i conditions:[DaemonSetCondition]@type currentNumberScheduled!:i "
        "desiredNumberScheduled!:i numberAvailable:i numberMisscheduled!:i numberReady!:i "
        "numberUnavailable:i observedGeneration:l updatedNumberScheduled:i"
    ),
    "DaemonSetUpdateStrategy": "rollingUpdate:RollingUpdateDaemonSet type:s",
    "Deployment": "apiVersion:s kind:s metadata:ObjectMeta spec!:DeploymentSpec status:DeploymentStatus",
    "DeploymentCondition": "lastTransitionTime:t lastUpdateTime:t message:s reason:s status:s type:s",
    "DeploymentSpec": (
        "minReadySeconds:i paused:b progressDeadlineSeconds:i replicas:i revisionHistoryLimit:i "
        "selector!:LabelSelector strategy:DeploymentStrategy template!:PodTemplateSpec"
    ),
    "DeploymentStatus": (
        "availableReplicas:i collisionCount:i conditions:[DeploymentCondition]@type observedGeneration:l "
        "readyReplicas:i replicas:i terminatingReplicas:i unavailableReplicas:i updatedReplicas:i"
    ),
    "DeploymentStrategy": "rollingUpdate:RollingUpdateDeployment type:s",
    "DownwardAPIProjection": "items:[DownwardAPIVolumeFile]",
    "DownwardAPIVolumeFile": (
        "fieldRef:ObjectFieldSelector mode:i path!:s resourceFieldRef:ResourceFieldSelector user:l"
    ),
    "DownwardAPIVolumeSource": "defaultMode:i defaultUser:l items:[DownwardAPIVolumeFile]",
    "EmptyDirVolumeSource": "medium:s mode:i sizeLimit:q",
    "EnvFromSource": "configMapRef:ConfigMapEnvSource prefix:s secretRef:SecretEnvSource",
    "EnvVar": "name!:s value:s valueFrom:EnvVarSource",
    "EnvVarSource": (
        "configMapKeyRef:ConfigMapKeySelector fieldRef:ObjectFieldSelector fileKeyRef:FileKeySelector "
        "resourceFieldRef:ResourceFieldSelector secretKeyRef:SecretKeySelector"
    ),
    "EphemeralContainer": (
        "args:[s] command:[s] env:[EnvVar]@name envFrom:[EnvFromSource] image:s imagePullPolicy:s "
        "lifecycle:Lifecycle livenessProbe:Probe name!:s ports:[ContainerPort]@containerPort,protocol "
        "readinessProbe:Probe resizePolicy:[ContainerResizePolicy] resources:ResourceRequirements "
        "restartPolicy:s restartPolicyRules:[ContainerRestartRule] securityContext:SecurityContext "
        "startupProbe:Probe stdin:b stdinOnce:b targetContainerName:s terminationMessagePath:s "
        "terminationMessagePolicy:s tty:b volumeDevices:[VolumeDevice]@devicePath "
        "volumeMounts:[VolumeMount]@mountPath workingDir:s"
    ),
    "EphemeralVolumeSource": "volumeClaimTemplate:PersistentVolumeClaimTemplate",
    "EvictionResponder": "name!:s priority!:i",
    "ExecAction": "command:[s]",
    "FCVolumeSource": "fsType:s lun:i readOnly:b targetWWNs:[s] wwids:[s]",
    "FileKeySelector": "key!:s optional:b path!:s volumeName!:s",
    "FlexVolumeSource": "driver!:s fsType:s options:{s} readOnly:b secretRef:LocalObjectReference",
    "FlockerVolumeSource": "datasetName:s datasetUUID:s",
    "GCEPersistentDiskVolumeSource": "fsType:s partition:i pdName!:s readOnly:b",
    "GRPCAction": "mode:s port!:i service:s",
    "GitRepoVolumeSource": "directory:s repository!:s revision:s",
    "GlusterfsVolumeSource": "endpoints!:s path!:s readOnly:b",
    "HTTPGetAction": "host:s httpHeaders:[HTTPHeader] path:s port!:p protocol:s scheme:s",
    "HTTPHeader": "name!:s value!:s",
    "HostAlias": "hostnames:[s] ip!:s",
    "HostIP": "ip!:s",
    "HostPathVolumeSource": "path!:s type:s",
    "ISCSIVolumeSource": (
        "chapAuthDiscovery:b chapAuthSession:b fsType:s initiatorName:s iqn!:s iscsiInterface:s lun!:i "
        "portals:[s] readOnly:b secretRef:LocalObjectReference targetPortal!:s"
    ),
    "ImageVolumeSource": "pullPolicy:s reference:s",
    "ImageVolumeStatus": "imageRef!:s",
    "Job": "apiVersion:s kind:s metadata:ObjectMeta spec:JobSpec status:JobStatus",
    "JobCondition": "lastProbeTime:t lastTransitionTime:t message:s reason:s status!:s type!:s",
    "JobSchedulingConfiguration": (
        "disruptionMode:WorkloadPodGroupDisruptionMode resourceClaims:[WorkloadPodGroupResourceClaim]@name "
        "schedulingConstraints:WorkloadPodGroupSchedulingConstraints "
        "schedulingPolicy:WorkloadPodGroupSchedulingPolicy"
    ),
    "JobSpec": (
        "activeDeadlineSeconds:l backoffLimit:i backoffLimitPerIndex:i completionMode:s completions:i "
        "managedBy:s manualSelector:b maxFailedIndexes:i parallelism:i podFailurePolicy:PodFailurePolicy "
        "podReplacementPolicy:s scheduling:JobSchedulingConfiguration selector:LabelSelector "
        "successPolicy:SuccessPolicy suspend:b template!:PodTemplateSpec ttlSecondsAfterFinished:i"
    ),
    "JobStatus": (
        "active:i completedIndexes:s completionTime:t conditions:[JobCondition] failed:i failedIndexes:s "
        "ready:i startTime:t succeeded:i terminating:i uncountedTerminatedPods:UncountedTerminatedPods"
    ),
    "JobTemplateSpec": "metadata:ObjectMeta spec:JobSpec",
    "KeyToPath": "key!:s mode:i path!:s user:l",
    "LabelSelector": "matchExpressions:[LabelSelectorRequirement] matchLabels:{s}",
    "LabelSelectorRequirement": "key!:s operator!:s values:[s]",
    "Lifecycle": "postStart:LifecycleHandler preStop:LifecycleHandler stopSignal:s",
    "LifecycleHandler": "exec:ExecAction httpGet:HTTPGetAction sleep:SleepAction tcpSocket:TCPSocketAction",
    "LinuxContainerUser": "gid!:l supplementalGroups:[l] uid!:l",
    "ListMeta": "continue:s remainingItemCount:l resourceVersion:s selfLink:s shardInfo:ShardInfo",
    "LoadBalancerIngress": "hostname:s ip:s ipMode:s ports:[PortStatus]",
    "LoadBalancerStatus": "ingress:[LoadBalancerIngress]",
    "LocalObjectReference": "name:s",
    "ManagedFieldsEntry": "apiVersion:s fieldsType:s fieldsV1:j manager:s operation:s subresource:s time:t",
    "ModifyVolumeStatus": "status!:s targetVolumeAttributesClassName:s",
    "NFSVolumeSource": "path!:s readOnly:b server!:s",
    "NodeAffinity": (
        "preferredDuringSchedulingIgnoredDuringExecution:[PreferredSchedulingTerm] "
        "requiredDuringSchedulingIgnoredDuringExecution:NodeSelector"
    ),
    "NodeAllocatableMappedResources": "name!:s quantity!:q",
    "NodeAllocatableOverheadResources": "name!:s perContainer:q perPod:q",
    "NodeAllocatableResourceClaimStatus": (
        "containers:[s] mapping:[NodeAllocatableMappedResources]@name "
        "overhead:[NodeAllocatableOverheadResources]@name resourceClaimName!:s"
    ),
    "NodeSelector": "nodeSelectorTerms!:[NodeSelectorTerm]",
    "NodeSelectorRequirement": "key!:s operator!:s values:[s]",
    "NodeSelectorTerm": "matchExpressions:[NodeSelectorRequirement] matchFields:[NodeSelectorRequirement]",
    "ObjectFieldSelector": "apiVersion:s fieldPath!:s",
    "ObjectMeta": (
        "annotations:{s} creationTimestamp:t deletionGracePeriodSeconds:l deletionTimestamp:t "
        "finalizers:[s] generateName:s generation:l labels:{s} managedFields:[ManagedFieldsEntry] name:s "
        "namespace:s ownerReferences:[OwnerReference]@uid resourceVersion:s selfLink:s uid:s"
    ),
    "ObjectReference": "apiVersion:s fieldPath:s kind:s name:s namespace:s resourceVersion:s uid:s",
    "OwnerReference": "apiVersion!:s blockOwnerDeletion:b controller:b kind!:s name!:s uid!:s",
    "PersistentVolumeClaim": (
        "apiVersion:s kind:s metadata:ObjectMeta spec:PersistentVolumeClaimSpec "
        "status:PersistentVolumeClaimStatus"
    ),
    "PersistentVolumeClaimCondition": (
        "lastProbeTime:t lastTransitionTime:t message:s reason:s status!:s type!:s"
    ),
    "PersistentVolumeClaimSpec": (
        "accessModes:[s] dataSource:TypedLocalObjectReference dataSourceRef:TypedObjectReference "
        "resources:VolumeResourceRequirements selector:LabelSelector storageClassName:s "
        "volumeAttributesClassName:s volumeMode:s volumeName:s"
    ),
    "PersistentVolumeClaimStatus": (
        "accessModes:[s] allocatedResourceStatuses:{s} allocatedResources:{q} capacity:{q} "
        "conditions:[PersistentVolumeClaimCondition]@type currentVolumeAttributesClassName:s "
        "healthStatus:VolumeHealthStatus modifyVolumeStatus:ModifyVolumeStatus phase:s"
    ),
    "PersistentVolumeClaimTemplate": "metadata:ObjectMeta spec!:PersistentVolumeClaimSpec",
    "PersistentVolumeClaimVolumeSource": "claimName!:s readOnly:b",
    "PhotonPersistentDiskVolumeSource": "fsType:s pdID!:s",
    "Pod": "apiVersion:s kind:s metadata:ObjectMeta spec:PodSpec status:PodStatus",
    "PodAffinity": (
        "preferredDuringSchedulingIgnoredDuringExecution:[WeightedPodAffinityTerm] "
        "requiredDuringSchedulingIgnoredDuringExecution:[PodAffinityTerm]"
    ),
    "PodAffinityTerm": (
        "labelSelector:LabelSelector matchLabelKeys:[s] mismatchLabelKeys:[s] "
        "namespaceSelector:LabelSelector namespaces:[s] topologyKey!:s"
    ),
    "PodAntiAffinity": (
        "preferredDuringSchedulingIgnoredDuringExecution:[WeightedPodAffinityTerm] "
        "requiredDuringSchedulingIgnoredDuringExecution:[PodAffinityTerm]"
    ),
    "PodCertificateProjection": (
        "certificateChainPath:s credentialBundlePath:s keyPath:s keyType!:s maxExpirationSeconds:i "
        "signerName!:s user:l userAnnotations:{s}"
    ),
    "PodCondition": (
        "lastProbeTime:t lastTransitionTime:t message:s observedGeneration:l reason:s status!:s type!:s"
    ),
    "PodDNSConfig": "nameservers:[s] options:[PodDNSConfigOption] searches:[s]",
    "PodDNSConfigOption": "name:s value:s",
    "PodExtendedResourceClaimStatus": (
        "requestMappings!:[ContainerExtendedResourceRequest] resourceClaimName!:s"
    ),
    "PodFailurePolicy": "rules!:[PodFailurePolicyRule]",
    "PodFailurePolicyOnExitCodesRequirement": "containerName:s operator!:s values!:[i]",
    "PodFailurePolicyOnPodConditionsPattern": "status:s type!:s",
    "PodFailurePolicyRule": (
        "action!:s onExitCodes:PodFailurePolicyOnExitCodesRequirement "
        "onPodConditions:[PodFailurePolicyOnPodConditionsPattern]"
    ),
    "PodIP": "ip!:s",
    "PodOS": "name!:s",
    "PodReadinessGate": "conditionType!:s",
    "PodResourceClaim": "name!:s resourceClaimName:s resourceClaimTemplateName:s",
    "PodResourceClaimStatus": "name!:s resourceClaimName:s",
    "PodSchedulingGate": "name!:s",
    "PodSchedulingGroup": "podGroupName:s",
    "PodSecurityContext": (
        "appArmorProfile:AppArmorProfile fsGroup:l fsGroupChangePolicy:s runAsGroup:l runAsNonRoot:b "
        "runAsUser:l seLinuxChangePolicy:s seLinuxOptions:SELinuxOptions seccompProfile:SeccompProfile "
        "supplementalGroups:[l] supplementalGroupsPolicy:s sysctls:[Sysctl] "
        "windowsOptions:WindowsSecurityContextOptions"
    ),
    "PodSpec": (
        "activeDeadlineSeconds:l affinity:Affinity automountServiceAccountToken:b "
        "containers!:[Container]@name dnsConfig:PodDNSConfig dnsPolicy:s enableServiceLinks:b "
        "ephemeralContainers:[EphemeralContainer]@name evictionResponders:[EvictionResponder]@name "
        "hostAliases:[HostAlias]@ip hostIPC:b hostNetwork:b hostPID:b hostUsers:b hostname:s "
        "hostnameOverride:s imagePullSecrets:[LocalObjectReference]@name initContainers:[Container]@name "
        "nodeName:s nodeSelector:{s} os:PodOS overhead:{q} preemptionPolicy:s priority:i "
        "priorityClassName:s readinessGates:[PodReadinessGate] resourceClaims:[PodResourceClaim]@name "
        "resources:ResourceRequirements restartPolicy:s runtimeClassName:s schedulerName:s "
        "schedulingGates:[PodSchedulingGate]@name schedulingGroup:PodSchedulingGroup "
        "securityContext:PodSecurityContext serviceAccount:s serviceAccountName:s setHostnameAsFQDN:b "
        "shareProcessNamespace:b subdomain:s terminationGracePeriodSeconds:l tolerations:[Toleration] "
        "topologySpreadConstraints:[TopologySpreadConstraint]@topologyKey,whenUnsatisfiable "
        "volumes:[Volume]@name"
    ),
    "PodStatus": (
        "allocatedResources:{q} conditions:[PodCondition]@type containerStatuses:[ContainerStatus] "
        "ephemeralContainerStatuses:[ContainerStatus] "
        "extendedResourceClaimStatus:PodExtendedResourceClaimStatus hostIP:s hostIPs:[HostIP] "
        "initContainerStatuses:[ContainerStatus] message:s "
        "nodeAllocatableResourceClaimStatuses:[NodeAllocatableResourceClaimStatus]@resourceClaimName "
        "nominatedNodeName:s observedGeneration:l phase:s podIP:s podIPs:[PodIP]@ip qosClass:s reason:s "
        "resize:s resourceClaimStatuses:[PodResourceClaimStatus]@name resources:ResourceRequirements "
        "startTime:t volumeHealth:[PodVolumeHealth]@name"
    ),
    "PodTemplateSpec": "metadata:ObjectMeta spec:PodSpec",
    "PodVolumeHealth": "healthConditions:[VolumeHealthCondition]@status,reason lastTransitionTime:t name!:s",
    "PortStatus": "error:s port!:i protocol!:s",
    "PortworxVolumeSource": "fsType:s readOnly:b volumeID!:s",
    "PreferredSchedulingTerm": "preference!:NodeSelectorTerm weight!:i",
    "Probe": (
        "exec:ExecAction failureThreshold:i grpc:GRPCAction httpGet:HTTPGetAction initialDelaySeconds:i "
        "periodSeconds:i successThreshold:i tcpSocket:TCPSocketAction terminationGracePeriodSeconds:l "
        "timeoutSeconds:i"
    ),
    "ProjectedVolumeSource": "defaultMode:i defaultUser:l sources:[VolumeProjection]",
    "QuobyteVolumeSource": "group:s readOnly:b registry!:s tenant:s user:s volume!:s",
    "RBDVolumeSource": (
        "fsType:s image!:s keyring:s monitors!:[s] pool:s readOnly:b secretRef:LocalObjectReference user:s"
    ),
    "ReplicaSet": "apiVersion:s kind:s metadata:ObjectMeta spec!:ReplicaSetSpec status:ReplicaSetStatus",
    "ReplicaSetCondition": "lastTransitionTime:t message:s reason:s status:s type:s",
    "ReplicaSetSpec": "minReadySeconds:i replicas:i selector!:LabelSelector template:PodTemplateSpec",
    "ReplicaSetStatus": (
        "availableReplicas:i conditions:[ReplicaSetCondition]@type fullyLabeledReplicas:i "
        "observedGeneration:l readyReplicas:i replicas!:i terminatingReplicas:i"
    ),
    "ReplicationController": (
        "apiVersion:s kind:s metadata:ObjectMeta spec:ReplicationControllerSpec "
        "status:ReplicationControllerStatus"
    ),
    "ReplicationControllerCondition": "lastTransitionTime:t message:s reason:s status!:s type!:s",
    "ReplicationControllerSpec": "minReadySeconds:i replicas:i selector:{s} template:PodTemplateSpec",
    "ReplicationControllerStatus": (
        "availableReplicas:i conditions:[ReplicationControllerCondition]@type fullyLabeledReplicas:i "
        "observedGeneration:l readyReplicas:i replicas!:i"
    ),
    "ResourceClaim": "name!:s request:s",
    "ResourceFieldSelector": "containerName:s divisor:q resource!:s",
    "ResourceHealth": "health:s message:s resourceID!:s",
    "ResourceRequirements": "claims:[ResourceClaim]@name limits:{q} requests:{q}",
    "ResourceStatus": "name!:s resources:[ResourceHealth]@resourceID",
    "RollingUpdateDaemonSet": "maxSurge:p maxUnavailable:p",
    "RollingUpdateDeployment": "maxSurge:p maxUnavailable:p",
    "RollingUpdateStatefulSetStrategy": "maxUnavailable:p partition:i",
    "SELinuxOptions": "level:s role:s type:s user:s",
    "ScaleIOVolumeSource": (
        "fsType:s gateway!:s protectionDomain:s readOnly:b secretRef!:LocalObjectReference sslEnabled:b "
        "storageMode:s storagePool:s system!:s volumeName:s"
    ),
    "SeccompProfile": "localhostProfile:s type!:s",
    "Secret": "apiVersion:s data:{y} immutable:b kind:s metadata:ObjectMeta stringData:{s} type:s",
    "SecretEnvSource": "name:s optional:b",
    "SecretKeySelector": "key!:s name:s optional:b",
    "SecretProjection": "items:[KeyToPath] name:s optional:b",
    "SecretVolumeSource": "defaultMode:i defaultUser:l items:[KeyToPath] optional:b secretName:s",
    "SecurityContext": (
        "allowPrivilegeEscalation:b appArmorProfile:AppArmorProfile capabilities:Capabilities privileged:b "
        "procMount:s readOnlyRootFilesystem:b runAsGroup:l runAsNonRoot:b runAsUser:l "
        "seLinuxOptions:SELinuxOptions seccompProfile:SeccompProfile "
        "windowsOptions:WindowsSecurityContextOptions"
    ),
    "Service": "apiVersion:s kind:s metadata:ObjectMeta spec:ServiceSpec status:ServiceStatus",
    "ServiceAccountTokenProjection": "audience:s expirationSeconds:l path!:s user:l",
    "ServicePort": "appProtocol:s name:s nodePort:i port!:i protocol:s targetPort:p",
    "ServiceSpec": (
        "allocateLoadBalancerNodePorts:b clusterIP:s clusterIPs:[s] externalIPs:[s] externalName:s "
        "externalTrafficPolicy:s healthCheckNodePort:i internalTrafficPolicy:s ipFamilies:[s] "
        "ipFamilyPolicy:s loadBalancerClass:s loadBalancerIP:s loadBalancerSourceRanges:[s] "
        "ports:[ServicePort]@port,protocol publishNotReadyAddresses:b selector:{s} sessionAffinity:s "
        "sessionAffinityConfig:SessionAffinityConfig trafficDistribution:s type:s"
    ),
    "ServiceStatus": "conditions:[Condition]@type loadBalancer:LoadBalancerStatus",
    "SessionAffinityConfig": "clientIP:ClientIPConfig",
    "ShardInfo": "selector!:s",
    "SleepAction": "seconds!:l",
    "StatefulSet": "apiVersion:s kind:s metadata:ObjectMeta spec!:StatefulSetSpec status:StatefulSetStatus",
    "StatefulSetCondition": "lastTransitionTime:t message:s reason:s status:s type:s",
    "StatefulSetOrdinals": "start:i",
    "StatefulSetPersistentVolumeClaimRetentionPolicy": "whenDeleted:s whenScaled:s",
    "StatefulSetSpec": (
        "minReadySeconds:i ordinals:StatefulSetOrdinals "
        "persistentVolumeClaimRetentionPolicy:StatefulSetPersistentVolumeClaimRetentionPolicy "
        "podManagementPolicy:s replicas:i revisionHistoryLimit:i selector!:LabelSelector serviceName:s "
        "template!:PodTemplateSpec updateStrategy:StatefulSetUpdateStrategy "
        "volumeClaimTemplates:[PersistentVolumeClaim]"
    ),
    "StatefulSetStatus": (
        "availableReplicas:i collisionCount:i conditions:[StatefulSetCondition]@type currentReplicas:i "
        "currentRevision:s observedGeneration:l readyReplicas:i replicas!:i updateRevision:s "
        "updatedReplicas:i"
    ),
    "StatefulSetUpdateStrategy": "rollingUpdate:RollingUpdateStatefulSetStrategy type:s",
    "StorageOSVolumeSource": (
        "fsType:s readOnly:b secretRef:LocalObjectReference volumeName:s volumeNamespace:s"
    ),
    "SuccessPolicy": "rules!:[SuccessPolicyRule]",
    "SuccessPolicyRule": "succeededCount:i succeededIndexes:s",
    "Sysctl": "name!:s value!:s",
    "TCPSocketAction": "host:s port!:p",
    "Toleration": "effect:s key:s operator:s tolerationSeconds:l value:s",
    "TopologyConstraint": "key!:s",
    "TopologySpreadConstraint": (
        "labelSelector:LabelSelector matchLabelKeys:[s] maxSkew!:i minDomains:i nodeAffinityPolicy:s "
        "nodeTaintsPolicy:s topologyKey!:s whenUnsatisfiable!:s"
    ),
    "TypedLocalObjectReference": "apiGroup:s kind!:s name!:s",
    "TypedObjectReference": "apiGroup:s kind!:s name!:s namespace:s",
    "UncountedTerminatedPods": "failed:[s] succeeded:[s]",
    "Volume": (
        "awsElasticBlockStore:AWSElasticBlockStoreVolumeSource azureDisk:AzureDiskVolumeSource "
        "azureFile:AzureFileVolumeSource cephfs:CephFSVolumeSource cinder:CinderVolumeSource "
        "configMap:ConfigMapVolumeSource csi:CSIVolumeSource downwardAPI:DownwardAPIVolumeSource "
        "emptyDir:EmptyDirVolumeSource ephemeral:EphemeralVolumeSource fc:FCVolumeSource "
        "flexVolume:FlexVolumeSource flocker:FlockerVolumeSource "
        "gcePersistentDisk:GCEPersistentDiskVolumeSource gitRepo:GitRepoVolumeSource "
        "glusterfs:GlusterfsVolumeSource hostPath:HostPathVolumeSource image:ImageVolumeSource "
        "iscsi:ISCSIVolumeSource name!:s nfs:NFSVolumeSource "
        "persistentVolumeClaim:PersistentVolumeClaimVolumeSource "
        "photonPersistentDisk:PhotonPersistentDiskVolumeSource portworxVolume:PortworxVolumeSource "
        "projected:ProjectedVolumeSource quobyte:QuobyteVolumeSource rbd:RBDVolumeSource "
        "scaleIO:ScaleIOVolumeSource secret:SecretVolumeSource storageos:StorageOSVolumeSource "
        "vsphereVolume:VsphereVirtualDiskVolumeSource"
    ),
    "VolumeDevice": "devicePath!:s name!:s",
    "VolumeHealthCondition": "message:s reason!:s status!:s",
    "VolumeHealthStatus": "healthConditions:[VolumeHealthCondition]@status,reason lastTransitionTime:t",
    "VolumeMount": (
        "bindMountOptions:[s] mountPath!:s mountPropagation:s name!:s readOnly:b recursiveReadOnly:s "
        "subPath:s subPathExpr:s"
    ),
    "VolumeMountStatus": "mountPath!:s name!:s readOnly:b recursiveReadOnly:s volumeStatus:VolumeStatus",
    "VolumeProjection": (
        "clusterTrustBundle:ClusterTrustBundleProjection configMap:ConfigMapProjection "
        "downwardAPI:DownwardAPIProjection podCertificate:PodCertificateProjection secret:SecretProjection "
        "serviceAccountToken:ServiceAccountTokenProjection"
    ),
    "VolumeResourceRequirements": "limits:{q} requests:{q}",
    "VolumeStatus": "image:ImageVolumeStatus",
    "VsphereVirtualDiskVolumeSource": "fsType:s storagePolicyID:s storagePolicyName:s volumePath!:s",
    "WeightedPodAffinityTerm": "podAffinityTerm!:PodAffinityTerm weight!:i",
    "WindowsSecurityContextOptions": (
        "gmsaCredentialSpec:s gmsaCredentialSpecName:s hostProcess:b runAsUserName:s"
    ),
    "WorkloadPodGroupAllDisruptionMode": "",
    "WorkloadPodGroupBasicSchedulingPolicy": "",
    "WorkloadPodGroupDisruptionMode": (
        "all:WorkloadPodGroupAllDisruptionMode single:WorkloadPodGroupSingleDisruptionMode"
    ),
    "WorkloadPodGroupGangSchedulingPolicy": "minCount:i",
    "WorkloadPodGroupResourceClaim": "name!:s resourceClaimName:s resourceClaimTemplateName:s",
    "WorkloadPodGroupSchedulingConstraints": "topology:[TopologyConstraint]",
    "WorkloadPodGroupSchedulingPolicy": (
        "basic:WorkloadPodGroupBasicSchedulingPolicy gang:WorkloadPodGroupGangSchedulingPolicy"
    ),
    "WorkloadPodGroupSingleDisruptionMode": "",
}
