export * as audit from "./audit";
