export * from "./soft";
export { timestamps as stamps } from "./fields";
